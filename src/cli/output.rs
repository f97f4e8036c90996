//! Where the command line prints: answers to standard output, notes and errors to standard error.
//!
//! The only writer of either, apart from the access log of a running gate. Colour is written freely
//! and taken out where the stream is no terminal or `NO_COLOR` is set.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};

use serde::Serialize;

use super::failure::Failure;
use super::render::{Sheet, Table, is_obeyed};

/// In which form answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For eyes: tables with lines, colour.
    Terminal,
    /// For pipes: aligned columns, nothing else.
    Plain,
}

/// Both streams, and in which form the first is written.
pub struct Output {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    form: Form,
    /// Whether somebody looks at standard error.
    is_watched: bool,
    /// Where answers to questions come from; `None` where nobody is there to be asked.
    answers: Option<Box<dyn BufRead>>,
}

impl Output {
    /// The streams of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let form = if io::stdout().is_terminal() {
            Form::Terminal
        } else {
            Form::Plain
        };
        let may_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            out: Box::new(anstream::stdout()),
            err: Box::new(anstream::stderr()),
            form,
            is_watched: io::stderr().is_terminal(),
            answers: may_ask.then(|| Box::new(BufReader::new(io::stdin())) as _),
        }
    }

    /// Prints one line of the answer.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Prints text that carries its own line ends.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }

    /// Prints a value as JSON, indented for eyes, on one line for pipes.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = match self.form {
            Form::Terminal => serde_json::to_string_pretty(value).map(|text| escaped(&text)),
            Form::Plain => serde_json::to_string(value),
        };
        self.line(&text.map_err(io::Error::other)?)
    }

    /// Prints the secret of `id`, alone on its line. A reader that went away is a failure here: what it
    /// did not read cannot be had again.
    pub(crate) fn secret(&mut self, secret: &str, id: String) -> Result<(), Failure> {
        writeln!(self.out, "{secret}").map_err(|source| Failure::Unprinted { id, source })
    }

    /// Prints a secret that is never shown again, and says so: before it where somebody looks, otherwise after it,
    /// for then it is not to be seen here.
    pub(crate) fn reveal(
        &mut self,
        what: &str,
        lost: &str,
        secret: &str,
        id: String,
    ) -> Result<(), Failure> {
        if self.is_seen() {
            self.note(&format!("\n{what}. It is shown this once and {lost}:\n"))?;
            return self.secret(secret, id);
        }
        self.secret(secret, id)?;
        self.note(&format!(
            "\n{what} went to standard output. It was written this once and {lost}."
        ))
    }

    /// Prints many of a kind.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let (text, left_out) = table.render(self.form);
        self.text(&text)?;
        if left_out.is_empty() {
            return Ok(());
        }
        self.note(&format!(
            "No room for {}: a wider terminal, a pipe and --json have all.",
            left_out.join(", ").to_lowercase()
        ))
    }

    /// Prints one thing.
    pub(crate) fn sheet(&mut self, sheet: &Sheet) -> Result<(), Failure> {
        self.text(&sheet.render())
    }

    /// Tells the person in front of it something that is not part of the answer.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.err, "{text}")?)
    }

    /// Tells the person in front of it about one thing, apart from the answer.
    pub(crate) fn note_sheet(&mut self, sheet: &Sheet) -> Result<(), Failure> {
        Ok(self.err.write_all(sheet.render().as_bytes())?)
    }

    /// Asks a question on standard error and reads one line from standard input. Who closes it instead of
    /// answering has said no.
    pub(crate) fn ask(&mut self, question: &str) -> Result<String, Failure> {
        write!(self.err, "{question} ")?;
        self.err.flush()?;
        let mut answer = String::new();
        let read = match &mut self.answers {
            Some(answers) => answers.read_line(&mut answer)?,
            None => 0,
        };
        if read == 0 {
            return Err(Failure::Declined);
        }
        Ok(answer.trim().to_owned())
    }

    /// Asks for `yes` until something is answered that is an answer; `no`, or nothing at all, is no.
    ///
    /// # Errors
    /// [`Failure::Declined`].
    pub(crate) fn confirm(&mut self, question: &str) -> Result<(), Failure> {
        loop {
            let answer = self.ask(question)?.to_lowercase();
            match answer.as_str() {
                "yes" => return Ok(()),
                answer if answer.is_empty() || answer.starts_with('n') => {
                    return Err(Failure::Declined);
                }
                _ => self
                    .note("Only the whole word `yes` does it; Enter alone leaves all as it is.")?,
            }
        }
    }

    /// Whether what is printed as the answer goes to a terminal.
    pub(crate) fn is_seen(&self) -> bool {
        self.form == Form::Terminal
    }

    /// Whether what goes to the terminal is to have colours.
    pub(crate) fn has_color(&self) -> bool {
        anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
    }

    /// Writes over the line that stands on standard error, where [`Self::is_watched`].
    pub(crate) fn over(&mut self, text: &str) -> Result<(), Failure> {
        write!(self.err, "\r\x1b[K{text}")?;
        Ok(self.err.flush()?)
    }

    /// Whether somebody looks at standard error.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// Whether somebody is there to be asked.
    pub(crate) fn may_ask(&self) -> bool {
        self.answers.is_some()
    }

    /// Reports why a command did not do what it was asked to. A reader that went away is told nothing.
    pub fn report(&mut self, failure: &Failure) {
        if failure.is_broken_pipe() {
            return;
        }
        // Nobody is left to tell if standard error is gone too.
        let _ = self.err.write_all(failure.render().as_bytes());
        let _ = self.err.flush();
    }
}

/// JSON in which nothing is left that a terminal would obey: what stands in a text is its escape, which
/// says the same to whoever reads JSON. Line ends stand between texts only.
fn escaped(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_obeyed(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_a_terminal_holds_nothing_that_it_would_obey() {
        let value = serde_json::json!({"name": "a\u{9b}31m\u{202e}b\u{7f}ü"});
        let (mut output, out, _) = capture::output(Form::Terminal);
        output.json(&value).unwrap();
        let text = out.text();
        assert!(text.contains("a\\u009b31m\\u202eb\\u007fü"), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}

#[cfg(test)]
pub(crate) mod capture {
    //! An [`Output`] whose words can be read back.

    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// What was written, shared with the writer.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Rc<RefCell<Vec<u8>>>);

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output, and what it says on its two streams.
    pub(crate) fn output(form: Form) -> (Output, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        let output = Output {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            form,
            is_watched: false,
            answers: None,
        };
        (output, out, err)
    }

    /// The same, with somebody there who answers line by line.
    pub(crate) fn asked(form: Form, answers: &str) -> (Output, Captured, Captured) {
        let (mut output, out, err) = output(form);
        output.answers = Some(Box::new(io::Cursor::new(answers.to_owned())));
        (output, out, err)
    }
}
