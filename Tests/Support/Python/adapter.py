"""The smallest host there is: one plugin process, asked over its pipes, with its requests sent to the sandbox.

It knows the protocol from its description alone and shares no code with the host or the SDK. It has no journal and no
media: it is for calls that the real host does not make yet, and for a second opinion.
"""

import http.client
import json
import subprocess
import urllib.parse

from rostrum import ROOT, binaries


class AdapterError(Exception):
    """An error answer of a plugin."""

    def __init__(self, error):
        data = error.get("data", {})
        self.code = error["code"]
        self.message = error["message"]
        self.kind = data.get("kind")
        self.retry = data.get("retry")
        self.field = data.get("field")
        self.user_message = data.get("userMessage")
        super().__init__(f"{self.kind}/{self.retry}: {self.message}")


class Adapter:
    """A running plugin; requests go to `port` with `token` in place of the account's secret."""

    def __init__(self, platform, port, token):
        self.manifest = json.loads((ROOT / "plugin-manifests" / f"{platform}.json").read_text())
        self.rules = {rule["rule"]: rule for rule in self.manifest["egress"]}
        self.port, self.token, self.last = port, token, 0
        self.process = subprocess.Popen(
            [str(binaries() / self.manifest["executable"])], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.call(
            "initialize",
            {
                "protocol": self.manifest["protocol"],
                "host": {"name": "test", "version": "1"},
                "plugin": {"id": self.manifest["id"], "version": self.manifest["version"]},
                "limits": {"frameBytes": 1 << 20, "inFlight": 16},
            },
        )
        self.write({"method": "initialized", "params": {}})

    def write(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def call(self, method, params):
        """Makes one call and answers the plugin's requests until its result is there."""
        self.last += 1
        self.write({"id": self.last, "method": method, "params": params})
        while True:
            line = self.process.stdout.readline()
            assert line, f"the plugin ended with {self.process.wait(10)}"
            message = json.loads(line)
            if message.get("method") == "host/http":
                self.write({"id": message["id"], "result": self.http(message["params"])})
            elif "method" in message:
                # Lines for the log and the like.
                continue
            elif "error" in message:
                raise AdapterError(message["error"])
            else:
                return message["result"]

    def http(self, asked):
        """Sends what a rule of the manifest says, as the host would."""
        rule = self.rules[asked["rule"]]
        path = rule["path"].format(**{k: urllib.parse.quote(v, "") for k, v in asked.get("path", {}).items()})
        if asked.get("query"):
            path += "?" + urllib.parse.urlencode(asked["query"])
        headers = {"Authorization": f"Bearer {self.token}"}
        body = None
        if "json" in asked:
            body, headers["Content-Type"] = json.dumps(asked["json"]), "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(rule["method"], path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        shown = {k.lower(): v for k, v in answer.getheaders() if k.lower() in rule.get("exposeHeaders", [])}
        result = {"status": answer.status, "headers": shown}
        try:
            return {**result, "json": json.loads(data)}
        except ValueError:
            return {**result, "text": data.decode(errors="replace")}

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
