//! What a plain dump would have psql do, statement by statement, before psql sees it.
//!
//! On a server that somebody named, a dump may fill the drill's own database and nothing else. What
//! `pg_dump --create` and `pg_dumpall` write reaches further: databases, roles, tablespaces, and
//! connections to other databases. The text is read as psql reads it. Sources: PostgreSQL
//! documentation, "Lexical Structure" and psql, "Meta-Commands"; pg_dump writes of the latter only
//! `\connect`, `\restrict` and `\unrestrict`.

/// So much of a statement is looked at, in bytes: `COPY` names up to 1,600 columns.
const MOST: usize = 128 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Normal,
    Single {
        escapes: bool,
    },
    Double,
    /// Between `$tag$`s; with the delimiter.
    Dollar(Vec<u8>),
    LineComment,
    BlockComment(u32),
    /// The rest of a line with a command of psql.
    Meta,
    /// Rows behind `COPY … FROM stdin;`, each line of them.
    Rows,
}

/// Reads a dump piece by piece.
#[derive(Debug)]
pub struct Statements {
    /// A server of the drill's own.
    own: bool,
    state: State,
    /// The statement so far, without comments and strings, in capitals, with single spaces.
    head: String,
    /// Nothing more has to be known about the statement until it ends.
    judged: bool,
    /// The command of psql so far.
    command: String,
    /// A `$tag` that may become a delimiter.
    tag: Option<Vec<u8>>,
    /// The two bytes before.
    before: u8,
    prior: u8,
    /// Backslashes escape in every string: `standard_conforming_strings = off`.
    escapes: bool,
    /// Of the string that ended last.
    last_escapes: bool,
    /// The line of rows so far, as far as it may be the last one.
    row: Vec<u8>,
    /// Rows begin with the next line.
    rows_next: bool,
    /// Bytes of a statement that is not judged yet.
    held: Vec<u8>,
    line: u64,
}

impl Statements {
    pub fn new(own: bool) -> Statements {
        Statements {
            own,
            state: State::Normal,
            head: String::new(),
            judged: false,
            command: String::new(),
            tag: None,
            before: b'\n',
            prior: b'\n',
            escapes: false,
            last_escapes: false,
            row: Vec::new(),
            rows_next: false,
            held: Vec::new(),
            line: 1,
        }
    }

    /// What of the dump psql may have by now.
    ///
    /// # Errors
    /// What it must not have, with its line.
    pub fn pass(&mut self, piece: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = std::mem::take(&mut self.held);
        // Where the statement begins that is not judged yet.
        let mut from = if out.is_empty() { usize::MAX } else { 0 };
        let begun = out.len();
        out.extend_from_slice(piece);
        for (i, byte) in piece.iter().enumerate() {
            let open = self.is_open();
            self.take(*byte)?;
            match (open, self.is_open()) {
                (false, true) => from = begun + i,
                (_, false) => from = usize::MAX,
                (true, true) => {}
            }
        }
        if from < out.len() && out.len() - from <= MOST {
            self.held = out.split_off(from);
        }
        Ok(out)
    }

    /// What is left when the dump has ended.
    ///
    /// # Errors
    /// See [`Statements::pass`].
    pub fn end(&mut self) -> Result<Vec<u8>, String> {
        self.judge(true)?;
        if self.state == State::Meta {
            self.judge_command()?;
        }
        Ok(std::mem::take(&mut self.held))
    }

    fn is_open(&self) -> bool {
        (!self.judged && !self.head.is_empty())
            || (self.state == State::Meta && !self.command.ends_with(' '))
    }

    fn take(&mut self, byte: u8) -> Result<(), String> {
        let before = std::mem::replace(&mut self.before, byte);
        let prior = std::mem::replace(&mut self.prior, before);
        if byte == b'\n' {
            self.line += 1;
        }
        match &mut self.state {
            State::Normal => self.normal(byte, before, prior)?,
            State::Single { escapes } => match byte {
                // A quote is doubled, or behind a backslash where those escape.
                b'\'' if *escapes && before == b'\\' => self.before = b' ',
                b'\\' if *escapes && before == b'\\' => self.before = b' ',
                b'\'' => {
                    self.last_escapes = *escapes;
                    self.state = State::Normal;
                }
                _ => {}
            },
            State::Double if byte == b'"' => self.state = State::Normal,
            State::Double => {}
            State::Dollar(delimiter) => {
                let delimiter = delimiter.clone();
                let tag = self.tag.get_or_insert_default();
                tag.push(byte);
                if *tag == delimiter {
                    self.tag = None;
                    self.state = State::Normal;
                } else if !delimiter.starts_with(tag) {
                    self.tag = (byte == b'$').then(|| vec![b'$']);
                }
            }
            State::LineComment if byte == b'\n' => {
                self.state = State::Normal;
                self.word(' ')?;
            }
            State::LineComment => {}
            State::BlockComment(depth) => match (before, byte) {
                (b'*', b'/') => {
                    self.before = b' ';
                    match depth {
                        1 => {
                            self.state = State::Normal;
                            self.word(' ')?;
                        }
                        _ => *depth -= 1,
                    }
                }
                (b'/', b'*') => {
                    *depth += 1;
                    self.before = b' ';
                }
                _ => {}
            },
            State::Meta => match byte {
                b'\n' => {
                    self.judge_command()?;
                    self.state = State::Normal;
                    self.command.clear();
                }
                // One line may have several.
                b'\\' if self.command.ends_with(' ') => self.command.clear(),
                _ if self.command.ends_with(' ') => {}
                b' ' | b'\t' | b'\r' => {
                    self.judge_command()?;
                    self.command.push(' ');
                }
                _ => self.command.push(char::from(byte)),
            },
            State::Rows => match byte {
                b'\n' => {
                    let last = self.row == b"\\." || self.row == b"\\.\r";
                    self.row.clear();
                    if last {
                        self.state = State::Normal;
                    }
                }
                // The longest line that can end the rows.
                _ if self.row.len() < 4 => self.row.push(byte),
                _ => {}
            },
        }
        Ok(())
    }

    fn normal(&mut self, byte: u8, before: u8, prior: u8) -> Result<(), String> {
        let in_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
        if let Some(tag) = &mut self.tag {
            match byte {
                b'$' => {
                    tag.push(b'$');
                    self.state = State::Dollar(tag.clone());
                    self.tag = None;
                    return Ok(());
                }
                // `$1` is a parameter.
                b if in_word(b) && !(tag.len() == 1 && b.is_ascii_digit()) => {
                    tag.push(b);
                    return Ok(());
                }
                _ => self.tag = None,
            }
        }
        match byte {
            b'\'' => {
                let escapes = match before {
                    b'\'' => self.last_escapes,
                    b'E' | b'e' if !in_word(prior) => true,
                    _ => self.escapes,
                };
                self.state = State::Single { escapes };
                self.word(' ')?;
            }
            b'"' => {
                self.state = State::Double;
                self.word(' ')?;
            }
            b'$' if !in_word(before) => self.tag = Some(vec![b'$']),
            b'-' if before == b'-' => {
                self.head.pop();
                self.state = State::LineComment;
            }
            b'*' if before == b'/' => {
                self.head.pop();
                self.state = State::BlockComment(1);
                self.before = b' ';
            }
            b'\\' => {
                self.command.clear();
                self.state = State::Meta;
            }
            b';' => {
                self.judge(true)?;
                if let Some(to) = self.head.strip_prefix("SET STANDARD_CONFORMING_STRINGS = ") {
                    self.escapes = to.starts_with("OFF");
                }
                self.rows_next =
                    self.head.starts_with("COPY ") && self.head.contains(" FROM STDIN");
                self.head.clear();
                self.judged = false;
            }
            b'\n' if self.rows_next => {
                if let Some(to) = self.head.strip_prefix("SET STANDARD_CONFORMING_STRINGS = ") {
                    self.escapes = to.starts_with("OFF");
                }
                self.rows_next = false;
                self.state = State::Rows;
            }
            b if b.is_ascii_whitespace() => self.word(' ')?,
            b => self.word(char::from(b.to_ascii_uppercase()))?,
        }
        Ok(())
    }

    /// Adds to the statement.
    fn word(&mut self, c: char) -> Result<(), String> {
        if self.head.len() >= MOST {
            return Ok(());
        }
        if c != ' ' {
            self.head.push(c);
        } else if !self.head.is_empty() && !self.head.ends_with(' ') {
            self.head.push(c);
            if !self.judged {
                self.judge(false)?;
            }
        }
        Ok(())
    }

    fn refuse(&self, what: &str) -> String {
        format!("line {}: {what}", self.line)
    }

    fn judge_command(&self) -> Result<(), String> {
        let command = self.command.trim_end();
        let of_dumps: &[&str] = match self.own {
            true => &["connect", "restrict", "unrestrict"],
            false => &["restrict", "unrestrict"],
        };
        match of_dumps.contains(&command) {
            true => Ok(()),
            false => Err(self.refuse(&format!("`\\{command}`"))),
        }
    }

    /// Looks at the statement so far, or when it is `whole`.
    fn judge(&mut self, whole: bool) -> Result<(), String> {
        let head = self.head.trim_end();
        if self.own || self.judged || head.is_empty() {
            self.judged |= self.own && !head.is_empty();
            return Ok(());
        }
        let words: Vec<&str> = head.splitn(4, ' ').collect();
        let object = |at: usize| {
            let global = ["DATABASE", "ROLE", "USER", "GROUP", "TABLESPACE", "SYSTEM"];
            words.get(at).is_some_and(|w| global.contains(w))
        };
        let reaches = match words[0] {
            "CREATE" | "ALTER" | "DROP" if words.get(1) == Some(&"USER") => match words.get(2) {
                Some(next) => *next != "MAPPING",
                None => whole,
            },
            "DROP" if words.get(1) == Some(&"OWNED") => true,
            // Shared by all databases; one with a subscription cannot be dropped.
            "CREATE" | "ALTER" | "DROP" if words.get(1) == Some(&"SUBSCRIPTION") => true,
            "CREATE" | "DROP" | "ALTER" => object(1),
            "REASSIGN" => true,
            "COMMENT" => object(2),
            // Of objects in the database, or not: that comes later.
            "GRANT" | "REVOKE" | "SECURITY" | "COPY" => {
                whole
                    && match words[0] {
                        "COPY" => !head.contains(" FROM STDIN"),
                        "SECURITY" => [" ON DATABASE", " ON ROLE", " ON TABLESPACE"]
                            .iter()
                            .any(|on| head.contains(on)),
                        _ => {
                            let on = [" ON DATABASE", " ON TABLESPACE", " ON PARAMETER"];
                            !head.contains(" ON ") || on.iter().any(|on| head.contains(on))
                        }
                    }
            }
            _ => false,
        };
        if reaches {
            return Err(self.refuse(&format!("`{}`", head.chars().take(60).collect::<String>())));
        }
        let waits = ["GRANT", "REVOKE", "SECURITY", "COPY"].contains(&words[0]);
        self.judged = whole || (words.len() > 3 && !waits) || self.head.len() >= MOST;
        Ok(())
    }
}

#[cfg(test)]
#[path = "statements_tests.rs"]
mod tests;
