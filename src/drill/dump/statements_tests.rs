use proptest::prelude::*;

use super::*;

/// All that psql gets, or the refusal.
fn passed(text: &str, own: bool, piece: usize) -> Result<String, String> {
    let mut statements = Statements::new(own);
    let mut out = Vec::new();
    for piece in text.as_bytes().chunks(piece.max(1)) {
        out.extend(statements.pass(piece)?);
    }
    out.extend(statements.end()?);
    Ok(String::from_utf8(out).unwrap())
}

const DUMP: &str = r#"--
-- PostgreSQL database dump
--
\restrict Wq7
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;
COMMENT ON EXTENSION hstore IS 'DROP DATABASE prod; \q';
CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql AS $_$
BEGIN
  EXECUTE 'CREATE ROLE x'; -- DROP DATABASE prod;
  \q
END;
$_$;
CREATE TABLE public."DROP DATABASE" (id integer, note text DEFAULT 'it''s \'::text, "a;b" text);
ALTER TABLE public.orders OWNER TO app;
/* DROP DATABASE a; /* nested */ CREATE ROLE b; */
INSERT INTO public.notes VALUES (1, 'a
\quit
DROP DATABASE prod;'), (2, E'it\'s
\quit'), (3, E'a''b\'
\!');
COPY public.orders (id, "note; x") FROM stdin;
1	\N
2	DROP DATABASE prod;
\q	x
\.x
\.
COPY public.empty (id) FROM stdin;
\.
CREATE USER MAPPING FOR app SERVER s;
ALTER USER MAPPING FOR app SERVER s OPTIONS (user 'x');
GRANT SELECT ON TABLE public.orders TO app;
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT SELECT ON TABLES TO app;
COMMENT ON SCHEMA public IS 'on database';
SECURITY LABEL FOR x ON TABLE public.orders IS 'y';
SELECT 1 - 2, 4 / 2, $1 FROM a$b;
\unrestrict Wq7
-- PostgreSQL database dump complete
"#;

#[test]
fn an_ordinary_dump_comes_through_unchanged() {
    for own in [true, false] {
        for piece in [1, 2, 3, 7, 64, 100_000] {
            assert_eq!(
                passed(DUMP, own, piece).as_deref(),
                Ok(DUMP),
                "{own} {piece}"
            );
        }
    }
}

#[test]
fn what_reaches_further_is_refused_before_psql_has_it() {
    for (text, begin) in [
        ("DROP DATABASE IF EXISTS prod;", "DROP"),
        ("drop\n  database prod", "drop"),
        ("DROP/* x */DATABASE prod;", "DROP"),
        ("DROP--x\nDATABASE prod;", "DROP"),
        ("CREATE DATABASE prod WITH TEMPLATE = template0;", "CREATE"),
        ("ALTER DATABASE prod OWNER TO app;", "ALTER"),
        ("COMMENT ON DATABASE prod IS 'x';", "COMMENT"),
        ("GRANT CONNECT ON DATABASE prod TO app;", "GRANT"),
        ("REVOKE ALL ON DATABASE \"prod\" FROM PUBLIC;", "REVOKE"),
        ("GRANT app TO admin;", "GRANT"),
        ("GRANT \"app\" TO \"admin\";", "GRANT"),
        ("CREATE ROLE app;", "CREATE"),
        ("CREATE USER app;", "CREATE"),
        ("CREATE USER app WITH PASSWORD 'x';", "CREATE"),
        (
            "ALTER ROLE postgres WITH SUPERUSER PASSWORD 'md5x';",
            "ALTER",
        ),
        ("DROP OWNED BY app;", "DROP"),
        (
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false);",
            "CREATE",
        ),
        ("REASSIGN OWNED BY a TO b;", "REASSIGN"),
        ("ALTER SYSTEM SET fsync = off;", "ALTER"),
        ("CREATE TABLESPACE fast LOCATION '/x';", "CREATE"),
        ("COPY a TO PROGRAM 'sh';", "COPY"),
        ("COPY a FROM '/etc/passwd';", "COPY"),
        ("\\connect prod\n", "\\"),
        ("\\c prod\n", "\\"),
        ("\\! rm -rf /\n", "\\"),
        ("\\restrict x \\! ls\n", "\\! ls"),
        ("SELECT 1 \\gexec\n", "\\"),
        ("\\q", "\\"),
    ] {
        for piece in [1, 5, 1000] {
            let text = format!("SELECT 'a';\nSELECT 2;\n{text}\nSELECT 'after';\n");
            let mut statements = Statements::new(false);
            let mut out = Vec::new();
            let mut refused = None;
            for piece in text.as_bytes().chunks(piece) {
                match statements.pass(piece) {
                    Ok(more) => out.extend(more),
                    Err(e) => {
                        refused = Some(e);
                        break;
                    }
                }
            }
            let why = refused.or_else(|| statements.end().err());
            assert!(why.is_some_and(|w| w.starts_with("line ")), "{text}");
            let out = String::from_utf8(out).unwrap();
            let head = out.strip_prefix("SELECT 'a';\nSELECT 2;\n").unwrap_or("");
            assert!(
                !head.contains(begin) || begin == "\\! ls" || head.starts_with("SELECT 1"),
                "{out}"
            );
        }
    }
}

/// On a server of its own a dump of a whole cluster is welcome; what ends psql is not.
#[test]
fn on_a_server_of_its_own_only_commands_that_no_dump_has_are_refused() {
    let all = "CREATE ROLE app;\nCREATE DATABASE prod;\n\\connect prod\nGRANT a TO b;\n";
    assert_eq!(passed(all, true, 7).as_deref(), Ok(all));
    for bad in ["\\q\n", "SELECT 1;\n\\quit\n", "\\! ls\n", "\\i x\n", "\\q"] {
        assert!(passed(bad, true, 3).is_err(), "{bad}");
    }
}

#[test]
fn old_strings_escape_by_backslashes() {
    let text = "SET standard_conforming_strings = off;\nINSERT INTO a VALUES ('it\\'s\n\\q');\n";
    assert_eq!(passed(text, false, 4).as_deref(), Ok(text));
}

proptest! {
    /// However the dump arrives, the answer is the same.
    #[test]
    fn pieces_make_no_difference(text in "[ -~\n]{0,200}", piece in 1usize..40) {
        let whole = passed(&text, false, usize::MAX);
        let pieces = passed(&text, false, piece);
        prop_assert_eq!(whole.is_ok(), pieces.is_ok());
        if let (Ok(a), Ok(b)) = (whole, pieces) {
            prop_assert_eq!(&a, &text);
            prop_assert_eq!(&b, &text);
        }
    }
}
