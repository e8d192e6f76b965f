//! The attributes `#[agent]` and `#[service]`.
//!
//! Why a macro: dispatch by name, typed proxies, ports and the constructor's arguments are all the same list of methods,
//! said four times. Here it is said once, in the user's own impl block.
//!
//! | file | what it knows |
//! |------|---------------|
//! | `attr` | the grammar of our attributes, as one table |
//! | `model` | what the user wrote, as methods with roles |
//! | `valid` | what is refused, and in which words |
//! | `expand` | what we write |
//!
//! Contract: the user's impl is emitted whatever happens, without our attributes; every rejection is one sentence on the
//! user's own tokens, and all of an impl are told at once. With rejections the rest is generated from what is left, so
//! that names which other code uses exist. The output is a function of the input.

mod attr;
mod expand;
mod model;
mod test;
mod valid;

use proc_macro::TokenStream;
use quote::quote;
use syn::{ItemImpl, parse_macro_input};

use attr::Options;
use model::Kind;

/// Rejections, all told at once.
#[derive(Default)]
struct Errors(Option<syn::Error>);

impl Errors {
    fn add(&mut self, at: impl quote::ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(at, message));
    }

    fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }
}

/// Makes agents of a type: on its impl block, `#[agent] impl House { .. }`.
///
/// It yields dispatch by name, the typed proxy `HouseProxy`, the constructor and the ports of a simulator. In the
/// attribute's parentheses may stand `name = "House"`, the type's name in paths and reports, and `eid = "bat_{n}"`, the
/// pattern of the ids that a simulator sees, with n counting from 0.
///
/// | attribute | on | meaning |
/// |-----------|----|---------|
/// | `#[expose]` | all three kinds | can be called, from near and far |
/// | `#[constructor]` | `fn new(cx: &Ctx, ..) -> Self`, or a `Result` of it | builds such agents from arguments |
/// | `#[start]` | in place, task | runs before the first message |
/// | `#[stop]` | in place | runs when the agent is stopped on purpose |
/// | `#[every(minutes = 15)]`, `#[every(period)]` | in place, task | runs after each period; `period` is a method `fn(&self) -> Duration`, asked once at the start, where zero means never |
/// | `#[step]` | all three kinds | runs once in each step of a simulator, after the inputs |
/// | `#[input]`, `#[input(trigger)]` | all three kinds, with one argument `Inputs<T>` | a port that a simulator writes |
/// | `#[output]`, `#[output(on_change)]` | `fn(&self) -> T` | a port that a simulator reads: the state, always or when it differs |
/// | `#[output(event)]`, `#[output(event, stamped)]` | `fn(&mut self) -> Vec<T>`, `Vec<(Time, T)>` | a port that a simulator reads: what happened since it was read last |
/// | `#[default(1.0)]` | the last arguments of exposed methods and constructors | the value where the caller gives none |
///
/// The three kinds of methods, where `cx` may be left out:
///
/// * in place, `fn(&mut self, cx: &Ctx, ..)` or with `&self`: answered at once, without a task;
/// * task, `async fn(this: This<Self>, ..)`: runs beside other methods and borrows the state only inside `this.with`;
/// * exclusive, `async fn(&mut self, cx: &Ctx, ..)`: other messages queue until it has ended.
///
/// A last argument of type `Args` takes what is left, by position and by keyword: `fn echo(&self, rest: Args)`.
///
/// Arguments and results are `Serialize + DeserializeOwned + Send + 'static`. An exposed method returns its result, or a
/// `Result` whose error can be displayed; a `CallError` reaches the caller as it is. An error of a method that nobody calls
/// (`every`, `start`, `stop`, `step`, `input`) is a failure of the agent.
#[proc_macro_attribute]
pub fn agent(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut item = parse_macro_input!(item as ItemImpl);
    let mut errors = Errors::default();
    let options = attr::options(options.into(), &mut errors);
    generate(&mut item, Kind::Agent, options, errors)
}

/// Makes a type callable by peers that is no agent: on its impl block, `#[service] impl Calc { .. }`.
///
/// It yields calls by name and the typed proxy `CalcProxy`, which is made of an `rpc::Remote`. Methods with `#[expose]`
/// can be called; arguments and results are as those of agents, `#[default(1.0)]` included. After `&self` a method may
/// take `peer: &Peer`, the connection that calls.
///
/// * `fn(&self, ..)` and `fn(&mut self, ..)` are answered in place;
/// * `async fn(&self, ..)` runs beside other calls;
/// * `async fn(&mut self, ..)`: other calls of the same object wait until it has ended.
///
/// ```ignore
/// #[isochrone::service]
/// impl Calc {
///     #[expose]
///     fn add(&self, a: i64, #[default(0)] b: i64) -> i64 {
///         a + b
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn service(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut item = parse_macro_input!(item as ItemImpl);
    let mut errors = Errors::default();
    if !options.is_empty() {
        errors.add(proc_macro2::TokenStream::from(options), "`#[service]` stands alone");
    }
    generate(&mut item, Kind::Service, Options::default(), errors)
}

fn generate(item: &mut ItemImpl, kind: Kind, options: Options, mut errors: Errors) -> TokenStream {
    let agent = model::read(item, kind, options, &mut errors);
    let agent = agent.map(|agent| valid::keep_valid(agent, &mut errors));
    let generated = agent.as_ref().map(expand::expand);
    let errors = errors.0.as_ref().map(syn::Error::to_compile_error);
    quote!(#item #errors #generated).into()
}

/// Makes a test of a function that takes a `&mut Trial`: it runs with many seeds, and a failing one comes with the line that
/// repeats it. `#[isochrone::test(seeds = 64)]`; see `isochrone::testing`.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as test::Options);
    let function = parse_macro_input!(item as syn::ItemFn);
    test::expand(&options, &function).into()
}
