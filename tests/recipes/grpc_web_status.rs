/// The status in a whole body of gRPC-Web: in its last frame, after the messages.
pub(crate) fn grpc_web_status(mut body: &[u8]) -> Option<&str> {
    const TRAILERS: u8 = 0x80;
    while let Some((&[flags, length @ ..], rest)) = body.split_first_chunk::<5>() {
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        let (frame, next) = rest.split_at_checked(length)?;
        if flags & TRAILERS != 0 {
            let lines = std::str::from_utf8(frame).ok()?.lines();
            let mut fields = lines.filter_map(|line| line.split_once(':'));
            let (_, status) = fields.find(|(name, _)| name.eq_ignore_ascii_case("grpc-status"))?;
            return Some(status.trim());
        }
        body = next;
    }
    None
}
