"""What a browser does of a sign-in: cookies, redirects one by one, and the form of a page."""

import http.client
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urlsplit


class Form(HTMLParser):
    """What a browser sends for a page: what is checked and can be changed."""

    def __init__(self, page):
        super().__init__()
        self.fields = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "input" and "checked" in values and "disabled" not in values:
            self.fields.append((values["name"], values["value"]))


class Browser:
    """Keeps cookies by server, and follows no redirect by itself."""

    def __init__(self):
        self.cookies = {}

    def open(self, address, form=None):
        parts = urlsplit(address)
        headers = {"Sec-Fetch-Site": "cross-site"}
        jar = self.cookies.setdefault(parts.netloc, {})
        if jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        body = None
        if form is not None:
            body = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        try:
            connection.request("GET" if form is None else "POST", f"{parts.path}?{parts.query}", body, headers)
            answer = connection.getresponse()
            page = answer.read().decode()
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            jar[name] = value
        return answer.status, answer.headers, page

    def sign_in(self, started, decision="allow"):
        """From the host's answer to the address that the host sends back to; returns its parameters."""
        status, headers, text = self.open(started["authUrl"])
        assert status == 303, text
        page = headers["Location"]
        status, _, text = self.open(page)
        assert status == 200, text
        status, headers, _ = self.open(page, Form(text).fields + [("decision", decision)])
        assert status == 302
        status, headers, text = self.open(headers["Location"])
        assert status == 303, text
        assert headers["Referrer-Policy"] == "no-referrer"
        return {name: values[0] for name, values in parse_qs(urlsplit(headers["Location"]).query).items()}
