"""Tests of the adapter as a host sees it: a process that speaks in lines. Run with `python3 -m unittest`."""
import json, pathlib, subprocess, unittest

BUNDLE = pathlib.Path(__file__).parent / "bundle"
MANIFEST = json.loads((BUNDLE / "manifest.json").read_text())
INTERPRETER = [MANIFEST["runtime"]["interpreter"]] if "runtime" in MANIFEST else []


class AdapterTests(unittest.TestCase):
    def setUp(self):
        command = INTERPRETER + [BUNDLE / MANIFEST["executable"]]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        plugin = {"id": MANIFEST["id"], "version": MANIFEST["version"]}
        self.call(1, "initialize", protocol={"min": "1.0", "max": "1.0"}, plugin=plugin)
        answer = self.read()
        self.assertEqual(answer["result"]["methods"], MANIFEST["methods"])

    def tearDown(self):
        self.process.stdin.close()
        self.assertEqual(self.process.wait(), 0)
        self.process.stdout.close()

    def send(self, **message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def call(self, number, method, **params):
        self.send(id=number, method=method, params=params)

    def read(self):
        return json.loads(self.process.stdout.readline())

    def publish(self, **post):
        job = {"key": "k", "now": "2026-01-02T03:04:05Z", "seed": "s"}
        self.call(2, "post/publish", _meta={"call": "c-1"}, account={"id": "1", "name": "a"}, job=job, post=post)

    def test_publishes(self):
        self.publish(text="Hello")
        request = self.read()
        self.assertEqual((request["params"]["rule"], request["params"]["step"]), ("createNote", "note"))
        self.send(id=request["id"], result={"status": 201, "json": {"id": "7", "url": "https://microblog.example/7"}})
        self.assertEqual(self.read()["result"]["remoteId"], "7")

    def test_lets_an_unknown_outcome_pass(self):
        self.publish(text="Hello")
        error = {"code": 1040, "message": "lost", "data": {"kind": "outcomeUnknown", "retry": "reconcile"}}
        self.send(id=self.read()["id"], error=error)
        self.assertEqual(self.read()["error"], error)

    def test_finds_a_text_that_is_too_long(self):
        self.call(2, "post/validate", _meta={"call": "c-1"}, account={"id": "1", "name": "a"}, post={"text": "a" * 301})
        self.assertEqual([finding["code"] for finding in self.read()["result"]["findings"]], ["tooLong"])


if __name__ == "__main__":
    unittest.main()
