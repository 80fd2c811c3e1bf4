//! `--csv`: a record for each endpoint, in UTF-8, as RFC 4180 has it but for line ends, which are line feeds.
//!
//! No value holds a control character, so each record is one line. What a spreadsheet would take for a formula is
//! shown in quotes, as names are that could deceive people.

use std::borrow::Cow;
use std::io::{self, Write};

use sockowner::Entry;

use super::value::{Value, value};
use crate::field::Field;
use crate::{address, text};

/// Writes `fields` of `entries`, one record after the other.
pub(super) fn write<'a>(
    out: &mut impl Write,
    fields: &[Field],
    has_header: bool,
    entries: impl Iterator<Item = &'a Entry>,
) -> io::Result<()> {
    let mut records = csv::Writer::from_writer(out);
    if has_header {
        records.write_record(fields.iter().map(|field| field.name())).map_err(in_io)?;
    }
    for entry in entries {
        for &field in fields {
            let text = written(value(field, entry));
            records.write_field(&*text).map_err(in_io)?;
        }
        records.write_record(None::<&[u8]>).map_err(in_io)?;
    }
    records.flush()
}

fn written(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Nothing => "".into(),
        Value::Number(number) => itoa::Buffer::new().format(number).to_owned().into(),
        Value::Flag(flag) => if flag { "true" } else { "false" }.into(),
        Value::Address(address) => address::text(&address).into(),
        Value::Host(address) => address::host(address).into(),
        Value::Text(text) if text.starts_with(['=', '+', '-', '@']) => text::quoted(text.as_bytes()).into(),
        Value::Text(text) => text,
    }
}

/// The failure of `out`, by which a reader that left is told.
fn in_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_a_formula() {
        for (text, expected) in [
            ("=1+1", "\"=1+1\""),
            ("+1", "\"+1\""),
            ("-bash", "\"-bash\""),
            ("@x\"y", r#""@x\"y""#),
            ("a=b", "a=b"),
            ("(no holder)", "(no holder)"),
        ] {
            assert_eq!(written(Value::Text(text.into())), expected);
        }
    }

    #[test]
    fn values_are_as_in_json() {
        assert_eq!(written(Value::Nothing), "");
        assert_eq!(written(Value::Number(u64::MAX)), "18446744073709551615");
        assert_eq!(written(Value::Flag(true)), "true");
    }

    #[test]
    fn a_header_stands_above_no_records_too() {
        let mut out = Vec::new();
        write(&mut out, &[Field::LocalPort, Field::Name], true, std::iter::empty()).unwrap();
        assert_eq!(out, b"local_port,name\n");
        let mut out = Vec::new();
        write(&mut out, Field::CSV, false, std::iter::empty()).unwrap();
        assert_eq!(out, b"");
    }

    #[test]
    fn a_reader_that_left_is_told_as_that() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let told = write(&mut Gone, Field::CSV, true, std::iter::empty()).unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::BrokenPipe);
    }
}
