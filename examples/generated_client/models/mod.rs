pub mod thing;
pub use self::thing::Thing;
