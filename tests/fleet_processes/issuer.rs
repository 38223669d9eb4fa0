//! The account at the server: its sessions, and the requests that log in.

use std::{
    collections::HashSet,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
};

/// What the server does with the account.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rules {
    /// A login leaves the previous sessions alone.
    pub(crate) is_concurrent: bool,
    /// A login brings a refresh token that is good for one use. A second use revokes the session.
    pub(crate) rotates: bool,
}

#[derive(Default)]
pub(crate) struct Issuer {
    rules: Rules,
    issued: u64,
    accepted: HashSet<String>,
    unspent: HashSet<String>,
    spent: HashSet<String>,
    pub(crate) passwords: u64,
    pub(crate) refreshes: u64,
    pub(crate) reuses: u64,
}

impl Issuer {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    pub(crate) fn accepts(&self, token: &str) -> bool {
        self.accepted.contains(token)
    }

    pub(crate) fn is_spent(&self, refresh_token: &str) -> bool {
        self.spent.contains(refresh_token)
    }

    /// Ends all sessions. Their refresh tokens go on to work.
    pub(crate) fn revoke(&mut self) {
        self.accepted.clear();
    }

    pub(crate) fn logins(&self) -> u64 {
        self.passwords + self.refreshes
    }

    /// Processes a login, which may be a refresh. The answer is a status and a body.
    pub(crate) fn process(&mut self, refresh_token: Option<&str>) -> Answer {
        match refresh_token {
            None => self.passwords += 1,
            Some(token) if self.unspent.remove(token) => {
                self.spent.insert(token.to_owned());
                self.refreshes += 1;
            }
            Some(token) => {
                self.reuses += u64::from(self.is_spent(token));
                self.accepted.clear();
                self.unspent.clear();
                return Answer("400 Bad Request", r#"{"error":"invalid_grant"}"#.to_owned());
            }
        }
        self.issued += 1;
        let number = self.issued;
        if !self.rules.is_concurrent {
            self.accepted.clear();
        }
        self.accepted.insert(format!("t{number}"));
        let mut body = format!(r#"{{"access_token":"t{number}""#);
        if self.rules.rotates {
            self.unspent.insert(format!("r{number}"));
            body += &format!(r#","refresh_token":"r{number}""#);
        }
        Answer("200 OK", body + "}")
    }
}

pub(crate) struct Answer(&'static str, String);

impl Answer {
    pub(crate) fn unavailable() -> Self {
        Self("503 Service Unavailable", String::new())
    }
}

/// A login at the server, before it is processed.
pub(crate) struct Grant {
    stream: TcpStream,
    /// `None` for a login with the password.
    pub(crate) refresh_token: Option<String>,
}

impl Grant {
    pub(crate) fn read(mut stream: TcpStream) -> io::Result<Self> {
        let mut text = String::new();
        let mut reader = BufReader::new(&mut stream);
        while !text.ends_with("\r\n\r\n") {
            if reader.read_line(&mut text)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        reader.read_exact(&mut body)?;
        let is_refresh = text.starts_with("POST /refresh ");
        let refresh_token = is_refresh.then(|| String::from_utf8(body).unwrap());
        Ok(Self {
            stream,
            refresh_token,
        })
    }

    pub(crate) fn answer(mut self, answer: &Answer) {
        self.write(answer, answer.1.len());
    }

    /// Its connection stays open.
    pub(crate) fn answer_half(&mut self, answer: &Answer) {
        self.write(answer, answer.1.len() / 2);
    }

    fn write(&mut self, Answer(status, body): &Answer, end: usize) {
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close");
        let length = body.len();
        let answer = format!("{head}\r\ncontent-length: {length}\r\n\r\n{}", &body[..end]);
        // The process may be dead.
        let _ = self.stream.write_all(answer.as_bytes());
    }
}
