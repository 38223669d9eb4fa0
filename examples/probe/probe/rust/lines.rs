//! Lines as rustfmt would break them.

use std::collections::BTreeSet;

const WIDTH: usize = 100;
/// The longest chain, call or array on one line.
const SHORT: usize = 60;

pub(super) fn call(method: &str, arguments: String) -> String {
    format!(".{method}({arguments})")
}

/// Calls on a value. A comment is a call that begins with two slashes.
pub(super) fn chain(before: &str, head: &str, calls: &[String]) -> Vec<String> {
    let one_line = format!("{head}{}", calls.concat());
    let has_comment = calls.iter().any(|call| call.starts_with("//"));
    let longest = match calls.len() {
        1 => WIDTH - "    ;".len() - before.len(),
        _ => SHORT,
    };
    if one_line.len() <= longest && !has_comment {
        return vec![format!("{before}{one_line};")];
    }
    let mut lines = vec![format!("{before}{head}")];
    lines.extend(calls.iter().map(|call| format!("    {call}")));
    if let Some(last) = lines.last_mut() {
        last.push(';');
    }
    lines
}

/// A form of these pairs.
pub(super) fn form(pairs: &[String]) -> String {
    let one_line = pairs.join(", ");
    if one_line.len() + 2 <= SHORT {
        return format!("LoginBody::form([{one_line}])");
    }
    let pairs = pairs.iter().map(|pair| format!("\n    {pair},"));
    format!("LoginBody::form([{}\n])", pairs.collect::<String>())
}

/// The name of a secret.
pub(super) fn secret(number: usize) -> String {
    match number {
        0 => "secret".to_owned(),
        number => format!("secret_{}", number + 1),
    }
}

pub(super) fn imports(from: &str, names: &BTreeSet<&str>) -> String {
    let mut names: Vec<_> = names.iter().copied().collect();
    // As rustfmt has them: types before modules.
    names.sort_by_key(|name| (name.starts_with(char::is_lowercase), *name));
    let one_line = format!("use {from}::{{{}}};\n", names.join(", "));
    if one_line.len() <= WIDTH {
        return one_line;
    }
    let (mut text, mut width) = (format!("use {from}::{{"), WIDTH);
    for name in names {
        if width + name.len() + 2 > WIDTH {
            text = text.trim_end().to_owned() + "\n    ";
            width = 4;
        }
        text += &format!("{name}, ");
        width += name.len() + 2;
    }
    text.trim_end().to_owned() + "\n};\n"
}
