//! `#[greenlight::main]`: the body of `main` becomes the first green thread.
//!
//! ```text
//!   #[greenlight::main]                 fn main() -> ::std::process::ExitCode {
//!   fn main() -> Result<(), Why> {          fn main() -> Result<(), Why> {
//!       body                       ──▶          body
//!   }                                       }
//!                                           return ::greenlight::run(|| ::std::process::Termination::report(main()));
//!                                       }
//! ```
//!
//! The report is made inside the green thread, so only an `ExitCode` leaves it: what `main` returns need not be `Send`.
//!
//! The parser works on `Kind`s and answers with positions. Tokens exist only while the compiler runs the macro, kinds
//! exist in a unit test too; and the user's tokens are only ever cut at those positions, never rebuilt, so each keeps
//! its span and an error in the body points at the body. Not `syn`: this is all the grammar we need, and it costs
//! whoever builds greenlight nothing.

use proc_macro::{Delimiter, Group, Literal, Span, TokenStream, TokenTree};
use std::ops::Range;

/// Runs a function, usually `main`, as a green thread on the global runtime.
///
/// ```ignore
/// #[greenlight::main]
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let (tx, rx) = greenlight::channel::bounded(0);
///     greenlight::go(move || tx.send("hello"));
///     println!("{}", rx.recv()?);
///     Ok(())
/// }
/// ```
///
/// The function takes no arguments and is not generic. It returns whatever `main` may return, by the same rules: an
/// `Err` is printed and ends the program with code 1, a panic ends it with code 101. When it returns, the program ends
/// and does not wait for its green threads.
///
/// `#[greenlight::main(workers = N)]` runs it on a runtime of its own with `N` workers; `N` is any expression. If that
/// runtime cannot start, the reason is printed and the program ends with code 1.
///
/// # Errors
///
/// An `async fn` does not compile: here any function may wait, so `main` is an ordinary one.
///
/// ```compile_fail
/// # use greenlight_macros as greenlight;
/// #[greenlight::main]
/// async fn main() {}
/// ```
///
/// Neither do arguments, nor anything that is not a function, nor an argument of the attribute other than `workers`.
///
/// ```compile_fail
/// # use greenlight_macros as greenlight;
/// #[greenlight::main(threads = 4)]
/// fn main() {}
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments: Vec<TokenTree> = arguments.into_iter().collect();
    let item: Vec<TokenTree> = item.into_iter().collect();
    let shape = kinds(&item);

    let function = match find_function(&shape) {
        Ok(function) => function,
        Err(mistake) => return refuse(&mistake, &item, &item, &shape),
    };
    match find_workers(&kinds(&arguments)) {
        Ok(workers) => expand(&item, function, workers.map(|value| &arguments[value])),
        Err(mistake) => refuse(&mistake, &arguments, &item, &shape),
    }
}

/// What the parser needs to know of a token.
#[derive(Clone, PartialEq, Debug)]
enum Kind {
    /// A name or a keyword.
    Word(String),
    Mark(char),
    Literal,
    Parens,
    EmptyParens,
    Brackets,
    Braces,
    /// What a `macro_rules!` variable such as `$vis` or `$body` leaves around its tokens.
    Invisible,
}

impl Kind {
    fn is_word(&self, word: &str) -> bool {
        matches!(self, Kind::Word(other) if other == word)
    }
}

fn kinds(tokens: &[TokenTree]) -> Vec<Kind> {
    let kind = |token: &TokenTree| match token {
        TokenTree::Ident(word) => Kind::Word(word.to_string()),
        TokenTree::Punct(mark) => Kind::Mark(mark.as_char()),
        TokenTree::Literal(_) => Kind::Literal,
        TokenTree::Group(group) => match group.delimiter() {
            Delimiter::Parenthesis if group.stream().is_empty() => Kind::EmptyParens,
            Delimiter::Parenthesis => Kind::Parens,
            Delimiter::Bracket => Kind::Brackets,
            Delimiter::Brace => Kind::Braces,
            Delimiter::None => Kind::Invisible,
        },
    };
    tokens.iter().map(kind).collect()
}

/// A compile error: the token it points at (past the end: the attribute itself), and what to do about it.
#[derive(PartialEq, Debug)]
struct Mistake {
    at: usize,
    message: &'static str,
}

const NOT_A_FUNCTION: &str = "`#[greenlight::main]` belongs on a function, such as `fn main() { .. }`";
const ASYNC: &str = "drop the `async`: functions are not coloured here, an ordinary `fn` waits in a green thread";
const NOT_PLAIN: &str = "`#[greenlight::main]` wants a plain `fn`, without `const`, `unsafe` or `extern`";
const GENERIC: &str = "a function under `#[greenlight::main]` cannot be generic: nobody chooses its parameters";
const TAKES_ARGUMENTS: &str =
    "a function under `#[greenlight::main]` takes no arguments: read `std::env::args()` instead";
const NO_BODY: &str = "a function under `#[greenlight::main]` needs a body";
const UNKNOWN_ARGUMENT: &str = "unknown argument: write `#[greenlight::main]` or `#[greenlight::main(workers = N)]`";
const NO_VALUE: &str = "`workers` wants a number: `#[greenlight::main(workers = N)]`";
const TWICE: &str = "`workers` is given twice";

/// Where the `fn` keyword stands. Before it: attributes and visibility. After it: the name, `()`, perhaps `-> R`, and
/// as the last token the body.
fn find_function(kinds: &[Kind]) -> Result<usize, Mistake> {
    let mut at = 0;
    while kinds.get(at) == Some(&Kind::Mark('#')) && kinds.get(at + 1) == Some(&Kind::Brackets) {
        at += 2;
    }
    if kinds.get(at) == Some(&Kind::Invisible) {
        at += 1;
    } else if kinds.get(at).is_some_and(|kind| kind.is_word("pub")) {
        at += 1;
        at += usize::from(kinds.get(at) == Some(&Kind::Parens));
    }

    let Some(function) = name_of(kinds).map(|name| name - 1) else {
        return Err(Mistake { at, message: NOT_A_FUNCTION });
    };
    if at != function {
        let message = match &kinds[at] {
            Kind::Word(word) if word == "async" => ASYNC,
            Kind::Word(word) if ["const", "unsafe", "safe", "extern"].contains(&word.as_str()) => NOT_PLAIN,
            _ => NOT_A_FUNCTION,
        };
        return Err(Mistake { at, message });
    }

    let parens = function + 2;
    match kinds.get(parens) {
        Some(Kind::EmptyParens) => {}
        Some(Kind::Parens) => return Err(Mistake { at: parens, message: TAKES_ARGUMENTS }),
        Some(Kind::Mark('<')) => return Err(Mistake { at: parens, message: GENERIC }),
        _ => return Err(Mistake { at: parens, message: NOT_A_FUNCTION }),
    }
    let body = kinds.len() - 1;
    if body == parens || !matches!(kinds[body], Kind::Braces | Kind::Invisible) {
        return Err(Mistake { at: body, message: NO_BODY });
    }
    match kinds[parens..body].iter().position(|kind| kind.is_word("where")) {
        Some(offset) => Err(Mistake { at: parens + offset, message: GENERIC }),
        None => Ok(function),
    }
}

/// Where the name of the function stands, if this looks like one at all.
fn name_of(kinds: &[Kind]) -> Option<usize> {
    let function = kinds.iter().position(|kind| kind.is_word("fn"))?;
    matches!(kinds.get(function + 1), Some(Kind::Word(_))).then_some(function + 1)
}

/// Where the value of `workers = value` stands, if it is given.
fn find_workers(kinds: &[Kind]) -> Result<Option<Range<usize>>, Mistake> {
    let mut value = None;
    let mut at = 0;
    while at < kinds.len() {
        if !kinds[at].is_word("workers") {
            return Err(Mistake { at, message: UNKNOWN_ARGUMENT });
        }
        if value.is_some() {
            return Err(Mistake { at, message: TWICE });
        }
        let start = at + 2;
        let end = (start..kinds.len()).find(|&at| kinds[at] == Kind::Mark(',')).unwrap_or(kinds.len());
        if kinds.get(at + 1) != Some(&Kind::Mark('=')) || start >= end {
            return Err(Mistake { at, message: NO_VALUE });
        }
        value = Some(start..end);
        at = end + 1;
    }
    Ok(value)
}

/// The function with the user's own inside, see the picture at the top.
fn expand(item: &[TokenTree], function: usize, workers: Option<&[TokenTree]>) -> TokenStream {
    let name = &item[function + 1];
    // Where rustc points if the function returns what `main` may not return: at the type after `->`.
    let returns = item[function + 3..item.len() - 1].get(2).unwrap_or(name).span();
    let ours = |source: &str| located(source, returns);
    let parens = |tokens: TokenStream| grouped(Delimiter::Parenthesis, tokens, returns);
    let braces = |tokens: TokenStream| grouped(Delimiter::Brace, tokens, returns);

    let call = TokenStream::from_iter([name.clone(), parens(TokenStream::new())]);
    let mut report = ours("|| ::std::process::Termination::report");
    report.extend([parens(call)]);

    let mut body: TokenStream = item[function..].iter().cloned().collect();
    // Allowed, because a function that returns `!` makes the report unreachable.
    body.extend(ours("#[allow(unreachable_code)] return"));
    match workers {
        None => {
            body.extend(ours("::greenlight::run"));
            body.extend([parens(report)]);
        }
        Some(workers) => {
            body.extend(ours("match ::greenlight::Runtime::builder().workers"));
            body.extend([parens(workers.iter().cloned().collect())]);
            body.extend(ours(".build()"));
            // Never dropped: `main` is over when its function returns, whatever the other green threads still do.
            let mut arms = ours("::std::result::Result::Ok(runtime) => ::std::mem::ManuallyDrop::new(runtime).run");
            arms.extend([parens(report)]);
            arms.extend(ours(
                r#", ::std::result::Result::Err(error) => {
                    ::std::eprintln!("greenlight: cannot start the runtime: {}", error);
                    ::std::process::ExitCode::FAILURE
                }"#,
            ));
            body.extend([braces(arms)]);
        }
    }
    body.extend(ours(";"));

    let mut outer: TokenStream = item[..function + 2].iter().cloned().collect();
    outer.extend(ours("() -> ::std::process::ExitCode"));
    outer.extend([braces(body)]);
    outer
}

/// The compile error, at the token of `pointed` that it is about. It is the only one: a function stays, with the error
/// as its body, so that nobody misses a `main`; and what is no function stays as it is.
fn refuse(mistake: &Mistake, pointed: &[TokenTree], item: &[TokenTree], shape: &[Kind]) -> TokenStream {
    let span = pointed.get(mistake.at).map_or_else(Span::call_site, TokenTree::span);
    let mut message = TokenTree::from(Literal::string(mistake.message));
    message.set_span(span);
    let mut error = located("::std::compile_error!", span);
    error.extend([grouped(Delimiter::Brace, TokenStream::from(message), span)]);

    match name_of(shape) {
        Some(name) if mistake.message != NOT_A_FUNCTION => {
            let mut stub = located("fn", span);
            stub.extend([item[name].clone()]);
            stub.extend(located("() -> ::std::process::ExitCode", span));
            stub.extend([grouped(Delimiter::Brace, error, span)]);
            stub
        }
        _ => error.into_iter().chain(item.iter().cloned()).collect(),
    }
}

/// Our own code, which errors show as if it stood at `span`. Its local names stay its own.
fn located(source: &str, span: Span) -> TokenStream {
    fn locate(token: TokenTree, span: Span) -> TokenTree {
        match token {
            TokenTree::Group(group) => {
                let inside = group.stream().into_iter().map(|token| locate(token, span));
                grouped(group.delimiter(), inside.collect(), span)
            }
            mut token => {
                token.set_span(Span::mixed_site().located_at(span));
                token
            }
        }
    }
    let tokens: TokenStream = source.parse().expect("our own code is well-formed");
    tokens.into_iter().map(|token| locate(token, span)).collect()
}

/// Brackets of our own around tokens that keep their spans.
fn grouped(delimiter: Delimiter, tokens: TokenStream, span: Span) -> TokenTree {
    let mut group = Group::new(delimiter, tokens);
    group.set_span(Span::mixed_site().located_at(span));
    TokenTree::from(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds of tokens written with blanks between them; `(..)`, `[..]`, `{..}` and `$..` are one token each.
    fn shape(source: &str) -> Vec<Kind> {
        let kind = |token: &str| match token.as_bytes()[0] {
            b'(' if token == "()" => Kind::EmptyParens,
            b'(' => Kind::Parens,
            b'[' => Kind::Brackets,
            b'{' => Kind::Braces,
            b'$' => Kind::Invisible,
            b'"' | b'0'..=b'9' => Kind::Literal,
            first if first.is_ascii_alphabetic() => Kind::Word(token.to_owned()),
            first => Kind::Mark(char::from(first)),
        };
        source.split_whitespace().map(kind).collect()
    }

    fn function_in(source: &str) -> Result<usize, (usize, &'static str)> {
        find_function(&shape(source)).map_err(|mistake| (mistake.at, mistake.message))
    }

    fn workers_in(source: &str) -> Result<Option<Range<usize>>, (usize, &'static str)> {
        find_workers(&shape(source)).map_err(|mistake| (mistake.at, mistake.message))
    }

    #[test]
    fn plain_functions_are_found_behind_attributes_and_visibility() {
        assert_eq!(function_in("fn main () {}"), Ok(0));
        assert_eq!(function_in("# [doc] # [cfg] fn main () {}"), Ok(4));
        assert_eq!(function_in("pub fn main () {}"), Ok(1));
        assert_eq!(function_in("pub (crate) fn main () {}"), Ok(2));
        assert_eq!(function_in("$vis fn main () $body"), Ok(1));
        assert_eq!(function_in("fn main () - > Result < {N} > {}"), Ok(0));
        assert_eq!(function_in("fn main () - > fn () {}"), Ok(0));
    }

    #[test]
    fn async_is_refused_with_its_own_words() {
        assert_eq!(function_in("async fn main () {}"), Err((0, ASYNC)));
        assert_eq!(function_in("# [doc] pub async fn main () {}"), Err((3, ASYNC)));
    }

    #[test]
    fn what_is_no_plain_function_is_refused_where_it_differs() {
        assert_eq!(function_in("const fn main () {}"), Err((0, NOT_PLAIN)));
        assert_eq!(function_in(r#"pub extern "C" fn main () {}"#), Err((1, NOT_PLAIN)));
        assert_eq!(function_in("fn main < T > () {}"), Err((2, GENERIC)));
        assert_eq!(function_in("fn main () where u8 : Copy {}"), Err((3, GENERIC)));
        assert_eq!(function_in("fn main (args) {}"), Err((2, TAKES_ARGUMENTS)));
        assert_eq!(function_in("fn main () ;"), Err((3, NO_BODY)));
        assert_eq!(function_in("fn main ()"), Err((2, NO_BODY)));
        assert_eq!(function_in("pub struct Main ;"), Err((1, NOT_A_FUNCTION)));
        assert_eq!(function_in("mod inner {}"), Err((0, NOT_A_FUNCTION)));
        assert_eq!(function_in("static MAIN : fn () = f ;"), Err((0, NOT_A_FUNCTION)));
        assert_eq!(function_in(""), Err((0, NOT_A_FUNCTION)));
        assert_eq!(function_in("fn main"), Err((2, NOT_A_FUNCTION)));
    }

    #[test]
    fn workers_may_be_any_expression() {
        assert_eq!(workers_in(""), Ok(None));
        assert_eq!(workers_in("workers = 4"), Ok(Some(2..3)));
        assert_eq!(workers_in("workers = cpus () * 2 ,"), Ok(Some(2..6)));
    }

    #[test]
    fn other_arguments_are_refused_where_they_stand() {
        assert_eq!(workers_in("threads = 4"), Err((0, UNKNOWN_ARGUMENT)));
        assert_eq!(workers_in("workers = 4 , name = 5"), Err((4, UNKNOWN_ARGUMENT)));
        assert_eq!(workers_in("workers = 4 , workers = 5"), Err((4, TWICE)));
        assert_eq!(workers_in("workers"), Err((0, NO_VALUE)));
        assert_eq!(workers_in("workers ="), Err((0, NO_VALUE)));
        assert_eq!(workers_in("workers 4"), Err((0, NO_VALUE)));
        assert_eq!(workers_in("workers = , "), Err((0, NO_VALUE)));
    }
}
