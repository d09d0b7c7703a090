//! The verifier `code` with real sandboxes.
//!
//! Where this machine can make none the tests say so and pass: what they test is not there.
#![expect(clippy::print_stderr, clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

use std::sync::LazyLock;

use rlvr_verifiers::code::{Code, CodeOptions, Isolation};
use rlvr_verifiers::{Attempt, Cost, Task, Verdict, Verifier};
use serde_json::{Value, json};

fn open(options: &str) -> Option<Code> {
    let options: CodeOptions = toml::from_str(options).unwrap();
    Code::new(options).map_err(|why| eprintln!("SKIPPED, there is no such sandbox here: {why}")).ok()
}

static CODE: LazyLock<Option<Code>> = LazyLock::new(|| open(""));

fn task(spec: Value) -> Task {
    Task::new("t", "?", "code").with_spec(spec)
}

fn verdict(code: &Code, spec: Value, completion: &str) -> Verdict {
    code.verify(Attempt { task: &task(spec), completion, finished: true })
}

#[track_caller]
fn check(spec: Value, completion: &str, finding: &str) {
    if let Some(code) = CODE.as_ref() {
        let verdict = verdict(code, spec, completion);
        assert_eq!(verdict.finding(), finding, "{completion}\n{verdict:?}");
    }
}

#[track_caller]
fn check_asserts(tests: &str, program: &str, finding: &str) {
    check(json!({"tests": {"type": "asserts", "code": tests}, "limits": {"wall_s": 5}}), program, finding);
}

#[track_caller]
fn check_calls(cases: Value, program: &str, finding: &str) {
    check(json!({"tests": {"type": "calls", "entry": "f", "cases": cases}}), program, finding);
}

/// The limits and tests of a stored case, its long texts written out.
fn stored_spec(case: &Value) -> Value {
    let mut limits = json!({"wall_s": 10, "memory_mb": 512, "pids": 64, "output_mb": 4});
    limits.as_object_mut().unwrap().extend(case["limits"].as_object().cloned().unwrap_or_default());
    let mut tests = case["tests"].clone();
    let object = tests.as_object_mut().unwrap();
    for name in ["input", "expected"] {
        object.remove(&format!("{name}_gen"));
        if let Some(parts) = object.remove(&format!("{name}_parts")) {
            let times = |part: &Value| part[0].as_str().unwrap().repeat(part[1].as_u64().unwrap() as usize);
            object.insert(name.to_owned(), parts.as_array().unwrap().iter().map(times).collect::<String>().into());
        }
    }
    json!({"tests": tests, "limits": limits})
}

fn word(verdict: &Verdict) -> &str {
    match verdict.finding() {
        "correct" => "pass",
        "timeout" | "oom" | "sandbox_violation" | "unjudged" => verdict.finding(),
        _ => "fail",
    }
}

/// Runs the stored programs of some categories and returns those whose verdict is not acceptable.
fn unacceptable(code: &Code, categories: &[&str], leave_out: &[&str]) -> Vec<String> {
    let text = include_str!("fixtures/hostile_programs.jsonl");
    let cases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_wanted = |case: &&Value| {
        let is_in = |list: &[&str], key: &str| list.iter().any(|name| case[key] == *name);
        is_in(categories, "cat") && !is_in(leave_out, "id")
    };
    let cases: Vec<&Value> = cases.iter().filter(is_wanted).collect();
    assert!(cases.len() > 10);
    let tasks: Vec<Task> = cases.iter().map(|case| task(stored_spec(case))).collect();
    let attempts: Vec<Attempt<'_>> = cases
        .iter()
        .zip(&tasks)
        .map(|(case, task)| Attempt { task, completion: case["program"].as_str().unwrap(), finished: true })
        .collect();
    let wrong = |(case, verdict): (&&Value, Verdict)| {
        let also = case["also_ok"].as_array().into_iter().flatten();
        let is_fine = also.chain([&case["expected"]]).any(|accepted| accepted == word(&verdict));
        (!is_fine).then(|| format!("{}: {verdict:?}", case["id"]))
    };
    cases.iter().zip(code.verify_batch(&attempts)).filter_map(wrong).collect()
}

#[test]
fn hostile_programs_get_the_verdicts_they_deserve() {
    if let Some(code) = CODE.as_ref() {
        let all = ["ok", "wrong", "time", "mem", "pids", "out", "iso", "hack"];
        assert_eq!(unacceptable(code, &all, &[]), Vec::<String>::new(), "{:?}", code.layers());
    }
}

#[test]
fn it_obeys_the_laws() {
    let Some(code) = CODE.as_ref() else { return };
    let add = "def add(a, b):\n    return a + b\n";
    let mut tasks = [
        task(json!({"tests": {"type": "stdin", "input": "2 3\n", "expected": "5\n"}})).with_reference("print(5)"),
        task(json!({"tests": {"type": "calls", "entry": "add", "cases": [{"args": [2, 3], "expected": 5}]}}))
            .with_reference(add),
        task(json!({"tests": {"type": "asserts", "code": "x = add(2, 3)\nassert x == 5"}})).with_reference(add),
    ];
    for (i, task) in tasks.iter_mut().enumerate() {
        task.id = i.to_string();
    }
    rlvr_verifiers::conformance::check(code, &tasks).unwrap();
    assert_eq!(code.cost(), Cost::Process);
    assert!(code.layers().contains(&"seccomp".to_owned()), "{:?}", code.layers());
}

#[test]
fn verdicts_carry_what_the_run_took() {
    let Some(code) = CODE.as_ref() else { return };
    let cases = json!([{"input": "", "expected": "1"}, {"input": "", "expected": "2"}]);
    let verdict = verdict(code, json!({"tests": {"type": "stdin", "cases": cases}}), "print(1)");
    let Verdict::Judged { score, finding, detail } = verdict else { panic!("unjudged") };
    assert_eq!(
        (score, finding.as_ref(), &detail["tests"], &detail["passed"]),
        (0.0, "wrong_output", &2.into(), &1.into())
    );
    assert!(detail["layers"].as_str().unwrap().contains("namespaces"));
    assert!(detail["cpu_s"].as_f64().unwrap() > 0.0 && detail["peak_mb"].as_f64().unwrap() > 1.0, "{detail:?}");
}

#[test]
fn the_program_is_found_in_the_completion() {
    let spec = json!({"tests": {"type": "stdin", "input": "4", "expected": "16"}});
    check(spec.clone(), "Square it:\n```python\nprint(int(input())**2)\n```\nDone.", "correct");
    check(spec.clone(), "```text\n16\n```", "no_answer");
    check(spec, "", "no_answer");
}

#[test]
fn ordinary_programs_find_what_they_need() {
    for program in [
        "import multiprocessing as m\nif __name__ == '__main__':\n    with m.Pool(2) as p: print(sum(p.map(abs, [-2, 3])))",
        "import threading\nt = [threading.Thread(target=lambda: r.append(1)) for _ in range(5)]\nr = []\n\
         [x.start() for x in t]; [x.join() for x in t]; print(len(r))",
        "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'print(5)'], capture_output=True).stdout.decode())",
        "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f:\n    f.write('5'); f.seek(0); print(f.read())",
        "import asyncio\nasync def five(): await asyncio.sleep(0.01); return 5\nprint(asyncio.run(five()))",
        "import sqlite3\nprint(sqlite3.connect('x.db').execute('select 2+3').fetchone()[0])",
        "import sys\nsys.setrecursionlimit(20000)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(15000) - 14995)",
        "a, b = map(int, open('/dev/stdin').read().split())\nopen('/dev/stdout', 'w').write(str(a + b))",
        "import os\nprint(os.getcwd() == '/box' and os.environ['HOME'] == '/box' and 5)",
        "import atexit\natexit.register(print, 5)",
        "import threading\nthreading.Timer(0.05, print, [5]).start()",
        "def f():\n    return a + b\na, b = eval(input().replace(' ', ','))\nprint(f'{f()}')",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nimport pickle\nprint(pickle.loads(pickle.dumps(P(5))).x)",
    ] {
        check(json!({"tests": {"type": "stdin", "input": "2 3\n", "expected": "5\n"}}), program, "correct");
    }
}

#[test]
fn calls_compare_values() {
    let one = |args: Value, expected: Value| json!([{"args": args, "expected": expected}]);
    check_calls(one(json!([2]), json!(4)), "def f(x): return x * 2", "correct");
    check_calls(one(json!([2]), json!(4)), "def f(x): return x * 3", "wrong_output");
    check_calls(one(json!([2]), json!(4)), "def f(x): raise ValueError('0x7f')", "runtime_error");
    check_calls(one(json!([2]), json!(4)), "def g(x): return 4", "runtime_error");
    check_calls(one(json!([2]), json!(4)), "def f(x) return 4", "syntax_error");
    check_calls(one(json!([2]), json!(4)), "import os; os._exit(0)", "runtime_error");
    check_calls(one(json!([[1, 2]]), json!([2, 1])), "def f(x): return tuple(x[::-1])", "correct");
    check_calls(
        one(json!([{"$py": "{1, 2}"}]), json!({"$py": "(1, 2)"})),
        "def f(x): return tuple(sorted(x))",
        "correct",
    );
    check_calls(one(json!([]), json!({"$py": "10**30"})), "def f(): return 10**30", "correct");
    check_calls(one(json!([]), json!({"a": [1]})), "def f(): return {'a': [True]}", "correct");
    check_calls(
        one(json!([]), json!(4)),
        "class E(int):\n    def __eq__(self, other): return True\ndef f(): return E()",
        "wrong_output",
    );
    let cases = json!([{"kwargs": {"x": 1}, "expected": 1}, {"args": [2], "expected": 2}]);
    check_calls(cases, "def f(x): return x", "correct");
    check_calls(one(json!([]), json!(1)), "def f():\n    print('noise')\n    return 1", "correct");
}

#[test]
fn assertions_see_values_and_objects_but_never_methods_that_lie() {
    let account = "class Broke(Exception):\n    pass\nclass Account:\n    def __init__(self, money=0):\n        \
                   self.money = money\n    def pay(self, sum):\n        if sum > self.money:\n            \
                   raise Broke('no money')\n        self.money -= sum\n        return self\n    def __eq__(self, other):\n\
                   \x20       return self.money == other.money\n    def __len__(self):\n        return self.money\n";
    check_asserts("a = Account(5)\na.pay(2)\nassert a.money == 3 and len(a) == 3", account, "correct");
    check_asserts(
        "try:\n    Account().pay(1)\n    assert False\nexcept Broke as e:\n    assert str(e) == 'no money'",
        account,
        "correct",
    );
    check_asserts(
        "a = Account()\na.money = 7\nassert a.pay(3) == Account(4)\nassert isinstance(a, Account)",
        account,
        "correct",
    );
    check_asserts("x = [3, 1]\nsort(x)\nassert x == [1, 3]", "def sort(x): x.sort()", "correct");
    check_asserts("assert list(count(3)) == [0, 1, 2]", "def count(n): yield from range(n)", "correct");
    check_asserts("assert apply(lambda x: x + 1, 3) == 4", "def apply(f, x): return f(x)", "correct");
    check_asserts(
        "assert only([1, 'a', 2], int, len) == (2, int)",
        "def only(a, k, f): return f([x for x in a if type(x) is k]), k",
        "correct",
    );
    check_asserts("assert f(10, 5) == 1570.7500000000002 + 0", "def f(r, h): return 3.1415 * r * r * h", "correct");
    check_calls(
        json!([{"args": [10, 5], "expected": 1570.7500000000002}]),
        "def f(r, h): return 3.1415 * r * r * h",
        "correct",
    );
    check_asserts("assert sum(1, 2) == 4 - 1", "def sum(a, b): return a + b", "runtime_error");
    let liar = "class L:\n    def __eq__(s, o): return True\n    def __sub__(s, o): return 0\n    def __rsub__(s, o): return 0\n\
                \x20   def __lt__(s, o): return True\n    def __contains__(s, o): return True\n    def __getitem__(s, i): return 0\n\
                def f(*a): return L()\n";
    for tests in ["x = f()\nassert x == 5", "assert abs(f() - 3.14) < 0.01", "assert f() < 5", "assert 5 in f()"] {
        let Some(code) = CODE.as_ref() else { return };
        let verdict =
            verdict(code, json!({"tests": {"type": "asserts", "code": tests}, "limits": {"wall_s": 2}}), liar);
        assert_eq!(verdict.score(), Some(0.0), "{tests}: {verdict:?}");
    }
    check_asserts("assert abs(f(1)) == 2", "abs = lambda x: 2\ndef f(x): return 1", "wrong_output");
}

#[test]
fn tests_that_do_not_compile_are_the_tasks_fault() {
    check(json!({"tests": {"type": "asserts", "code": "assert ("}}), "x = 1", "unjudged");
    let Some(code) = CODE.as_ref() else { return };
    let broken = task(json!({"tests": {"type": "stdin", "expected": "5"}})).with_reference("print(6)");
    assert_eq!(
        code.validate(&broken).unwrap_err().to_string(),
        "task `t`: verifier `code` rejects the task's own reference program: wrong_output"
    );
}

#[test]
fn other_languages_are_commands() {
    let options = r#"
        [languages.c]
        compile = ["gcc", "-O1", "-o", "{exe}", "{source}"]
        run = ["{exe}"]
        extension = "c"
        [languages.javascript]
        run = ["node", "{source}"]
        extension = "js"
        fences = ["js", "javascript"]
        [languages.bash]
        run = ["bash", "{source}"]
        extension = "sh"
    "#;
    let Some(code) = open(options) else { return };
    let has = |name: &str| std::process::Command::new(name).arg("--version").output().is_ok();
    let spec = |language: &str| {
        json!({"language": language, "tests": {"type": "stdin", "cases": [
            {"input": "2 3", "expected": "5"}, {"input": "4 4", "expected": "8"}]}, "limits": {"wall_s": 5}})
    };
    let run = |language: &str, program: &str, finding: &str| {
        let verdict = verdict(&code, spec(language), program);
        assert_eq!(verdict.finding(), finding, "{language}: {verdict:?}");
    };
    if has("gcc") {
        let add = "#include <stdio.h>\nint main(){int a,b;scanf(\"%d %d\",&a,&b);printf(\"%d\\n\",a+b);}";
        run("c", add, "correct");
        run("c", "int main( {", "syntax_error");
        run("c", "#include <stdlib.h>\nint main(){abort();}", "runtime_error");
        run("c", "int main(){for(;;);}", "timeout");
    } else {
        eprintln!("SKIPPED, there is no gcc here");
    }
    if has("node") {
        let add =
            "```js\nconst [a,b]=require('fs').readFileSync(0,'utf8').split(' ').map(Number);console.log(a+b)\n```";
        run("javascript", add, "correct");
        run("javascript", "console.log(1)", "wrong_output");
    } else {
        eprintln!("SKIPPED, there is no node here");
    }
    run("bash", "read a b; echo $((a+b))", "correct");
    run("bash", "exit 7", "runtime_error");
    assert!(code.validate(&task(spec("cobol"))).unwrap_err().to_string().contains("[verifiers.code.languages.cobol]"));
}

#[test]
fn the_launchers_own_walls_are_as_good() {
    let Some(code) = open("bubblewrap = false") else { return };
    assert!(!code.layers().contains(&"bubblewrap".to_owned()) && code.layers().contains(&"namespaces".to_owned()));
    assert_eq!(unacceptable(&code, &["ok", "pids", "iso"], &[]), Vec::<String>::new());
}

#[test]
fn landlock_alone_keeps_files_and_network() {
    let Some(code) = open("isolation = 'landlock'") else { return };
    // Sockets cannot even be made, and where there is no pid namespace there is no `/proc` either.
    let leave_out = ["code-085", "code-087", "code-088", "code-092", "code-099"];
    assert_eq!(unacceptable(&code, &["ok", "pids", "iso"], &leave_out), Vec::<String>::new(), "{:?}", code.layers());
}

#[test]
fn no_isolation_must_be_asked_for() {
    let options = CodeOptions { isolation: Isolation::None, ..CodeOptions::default() };
    let code = Code::new(options).unwrap();
    assert_eq!(verdict(&code, json!({"tests": {"type": "stdin", "expected": "5"}}), "print(5)").finding(), "correct");
    assert_eq!(code.layers()[0], "no isolation");
    let error = Code::new(CodeOptions { python: "/nowhere/python3".into(), ..CodeOptions::default() }).unwrap_err();
    assert!(error.contains("set `python`"), "{error}");
}
