use super::*;

const fn param(name: &'static str, optional: bool) -> Param {
    Param { name, optional, ty: "f64" }
}

const SET: Signature = Signature { name: "set", params: &[param("kw", false)] };
const SCALED: Signature = Signature { name: "set", params: &[param("kw", false), param("scale", true)] };
const NONE: Signature = Signature { name: "stop", params: &[] };
const THREE: Signature =
    Signature { name: "set", params: &[param("a", false), param("b", false), param("c", false)] };

fn refused(signature: &Signature, args: Args) -> String {
    let error = args.bind(signature).unwrap_err();
    assert_eq!(error.kind(), "TypeError");
    error.message().to_owned()
}

fn args() -> Args {
    Args::default()
}

#[test]
fn arguments_bind_by_position_by_keyword_and_by_default() {
    for args in
        [args().arg(1.5).arg(2), args().arg(1.5).kwarg("scale", 2), args().kwarg("scale", 2).kwarg("kw", 1.5)]
    {
        let mut bound = args.bind(&SCALED).unwrap();
        assert_eq!(bound.take::<f64>(0).unwrap(), Some(1.5));
        assert_eq!(bound.take::<f64>(1).unwrap(), Some(2.0));
    }
    let mut bound = args().arg(1).bind(&SCALED).unwrap();
    assert_eq!(bound.take_value(0), Some(Value::Int(1)));
    assert_eq!(bound.take::<f64>(1).unwrap(), None);
    args().bind(&NONE).unwrap();
}

#[test]
fn missing_arguments_are_named_as_python_names_them() {
    assert_eq!(refused(&SET, args()), "set() missing 1 required positional argument: 'kw'");
    assert_eq!(
        refused(&THREE, args().kwarg("c", 1)),
        "set() missing 2 required positional arguments: 'a' and 'b'"
    );
    assert_eq!(refused(&THREE, args()), "set() missing 3 required positional arguments: 'a', 'b', and 'c'");
    assert_eq!(
        refused(&SCALED, args().kwarg("scale", 1)),
        "set() missing 1 required positional argument: 'kw'"
    );
}

#[test]
fn surplus_arguments_are_named_as_python_names_them() {
    assert_eq!(refused(&SET, args().arg(1).arg(2)), "set() takes 1 positional argument but 2 were given");
    assert_eq!(refused(&NONE, args().arg(1)), "stop() takes 0 positional arguments but 1 was given");
    assert_eq!(
        refused(&SCALED, args().arg(1).arg(2).arg(3)),
        "set() takes from 1 to 2 positional arguments but 3 were given"
    );
}

#[test]
fn unknown_arguments_are_named_as_python_names_them() {
    let unknown = "set() got an unexpected keyword argument 'volume'";
    assert_eq!(refused(&SET, args().arg(1).kwarg("volume", 1)), unknown);
    // As CPython: before what is surplus or missing.
    assert_eq!(refused(&SET, args().kwarg("volume", 1)), unknown);
    assert_eq!(refused(&SET, args().arg(1).arg(2).kwarg("volume", 1)), unknown);
}

#[test]
fn doubled_arguments_are_named_as_python_names_them() {
    let doubled = "set() got multiple values for argument 'kw'";
    assert_eq!(refused(&SET, args().arg(1).kwarg("kw", 1)), doubled);
    assert_eq!(refused(&SET, args().kwarg("kw", 1).kwarg("kw", 1)), doubled);
    assert_eq!(refused(&SET, args().arg(1).arg(2).kwarg("kw", 1)), doubled);
}

#[test]
fn a_wrong_type_names_function_parameter_expected_and_got() {
    let mut bound = args().arg("abc").bind(&SET).unwrap();
    let error = bound.take::<f64>(0).unwrap_err();
    assert_eq!(error.to_string(), r#"TypeError: set() argument 'kw': expected a float, got str "abc""#);
    let mut bound = args().arg([Some(1.0), None]).bind(&SET).unwrap();
    let error = bound.take::<Vec<f64>>(0).unwrap_err();
    assert_eq!(error.message(), "set() argument 'kw'[1]: expected a float, got None");
}

#[test]
fn an_explicit_none_is_not_the_default() {
    let mut bound = args().arg(1).kwarg("scale", ()).bind(&SCALED).unwrap();
    assert_eq!(bound.take::<Option<f64>>(1).unwrap(), Some(None));
}

#[test]
fn an_argument_that_cannot_be_serialized_fails_the_call() {
    struct Never;
    impl Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it will not be"))
        }
    }
    assert_eq!(refused(&SET, args().arg(Never)), "argument 1: it will not be");
    assert_eq!(refused(&SET, args().arg(1).kwarg("kw", Never)), "argument 'kw': it will not be");
}

const ECHO: Signature = Signature {
    name: "echo",
    params: &[param("kw", false), Param { name: "*rest", optional: true, ty: "Args" }],
};

#[test]
fn the_last_parameter_may_take_what_is_left() {
    assert_eq!(ECHO.to_string(), "echo(kw: f64, *rest: Args)");
    let mut bound = args().arg(1).arg(2).arg("x").kwarg("a", 3).bind(&ECHO).unwrap();
    assert_eq!(bound.take::<f64>(0).unwrap(), Some(1.0));
    assert_eq!(bound.rest(), args().arg(2).arg("x").kwarg("a", 3));
    let mut bound = args().kwarg("a", 3).kwarg("kw", 1).kwarg("*rest", 4).bind(&ECHO).unwrap();
    assert_eq!(bound.take::<f64>(0).unwrap(), Some(1.0));
    assert_eq!(bound.rest(), args().kwarg("a", 3).kwarg("*rest", 4));
    assert_eq!(refused(&ECHO, args().kwarg("a", 1)), "echo() missing 1 required positional argument: 'kw'");
    assert_eq!(refused(&ECHO, args().arg(1).kwarg("kw", 1)), "echo() got multiple values for argument 'kw'");
}

#[test]
fn arguments_stand_together_as_they_do_on_the_wire() {
    let both = args().arg(1).kwarg("a", 2).and(args().arg("x").kwarg("b", 3));
    assert_eq!(to_value(&both).unwrap().to_string(), r#"[[1,"x"],{"a":2,"b":3}]"#);
}
