import Egress

/// Attacks on the gate, each with the way that it takes. None may reach a server that the manifest does not name.
enum EgressCorpus {
  struct Attack: Sendable, CustomStringConvertible {
    enum Way: Sendable {
      /// An address that a person is made to enter, or that comes out of an answer.
      case address(String)
      /// The platform's name leads to this address: rebinding, poisoned or hostile name servers.
      case resolution(String)
      /// Parameters of `host/http` by the rule fixture's manifest.
      case request(String)
      /// What the platform sends back, byte for byte, to the rule `follow`.
      case answer(String)
    }

    let group: String
    let way: Way

    var description: String { "\(group): \(way)" }
  }

  static let all: [Attack] =
    group("address", addresses.map { .address($0) }) + group("resolution", resolutions.map { .resolution($0) })
    + group("path", paths.map { .request(#"{"rule":"read","path":{"id":"\#($0)"}}"#) })
    + group("query", queries.map { .request(#"{"rule":"read","path":{"id":"1"},"query":\#($0)}"#) })
    + group("header", headers.map { .request(#"{"rule":"read","path":{"id":"1"},"headers":\#($0)}"#) })
    + group("body", bodies.map { .request($0) })
    + group("redirect", redirects.map { .answer("HTTP/1.1 302 F\r\nLocation: \($0)\r\nContent-Length: 0\r\n\r\n") })
    + group("answer", answers.map { .answer($0) })

  private static func group(_ name: String, _ ways: [Attack.Way]) -> [Attack] {
    ways.map { Attack(group: name, way: $0) }
  }

  // MARK: Addresses

  private static let addresses = [
    // Numbers that some readers take for names.
    "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://2130706433/", "https://0x7f000001/",
    "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://017700000001/", "https://127.0.0.1:8443/",
    "https://0/", "https://0.0.0.0/", "https://00.0.0.0/", "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/", "https://0xa9fea9fe/", "https://169.254.43518/", "https://169.16689662/",
    "https://255.255.255.255/", "https://10.0.0.1/", "https://192.168.1.1/", "https://172.16.0.1/",
    "https://100.64.0.1/", "https://8.8.8.8/", "https://1.1.1.1/", "https://127.0.0.1./", "https://1.2.3.4.5/",
    "https://999.1.1.1/", "https://1.2.3.256/", "https://example.1/", "https://example.0x1/",
    // IPv6 in all its forms.
    "https://[::1]/", "https://[::]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/", "https://[0:0:0:0:0:ffff:7f00:0001]/", "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/", "https://[fc00::1]/", "https://[fd00:ec2::254]/", "https://[ff02::1]/",
    "https://[2001:4860:4860::8888]/", "https://[::1]:443/", "https://[::1/", "https://::1/", "https://[127.0.0.1]/",
    "https://[::ffff:169.254.169.254]/",
    // Users, ports, separators and other dialects.
    "https://user@example.com/", "https://user:pass@example.com/", "https://example.com@127.0.0.1/",
    "https://example.com%40127.0.0.1/", "https://@example.com/", "https://example.com:0/", "https://example.com:65536/",
    "https://example.com:443:80/", "https://example.com:/", "https://example.com:+443/", "https://example.com:0443/",
    "https://example.com:4 43/", "https://example.com\\@127.0.0.1/", "https:\\\\127.0.0.1/", "https:/127.0.0.1/",
    "https:///127.0.0.1/", "//127.0.0.1/", "/127.0.0.1", "127.0.0.1", "example.com", "http://example.com/",
    "HTTPS://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x",
    "dict://127.0.0.1:11211/", "ws://example.com/", "javascript:alert(1)", "data:text/plain,x", "unix:/run/docker.sock",
    // Names.
    "https://example.com./", "https://.example.com/", "https://example..com/", "https://-example.com/",
    "https://example-.com/", "https://ex_ample.com/", "https://exa mple.com/", "https://exämple.com/",
    "https://ｅxample.com/", "https://example。com/", "https://①②⑦.⓪.⓪.①/", "https://%31%32%37.0.0.1/",
    "https://example.com%2eevil/", "https://example.com%00.evil/", "https://exam\u{AD}ple.com/",
    "https://\(String(repeating: "a", count: 64)).com/", "https://", "https://?/", "https://#/", "",
    // What stands behind the host.
    "https://example.com/a b", "https://example.com/\r\nHost: evil", "https://example.com/\n", "https://example.com/\0",
    "https://example.com/#@127.0.0.1/", "https://example.com/../etc", "https://example.com/%2e%2e/etc",
    "https://example.com/.%2E/etc", "https://example.com/..;/etc", "https://example.com/a/..%3b/etc",
    "https://example.com/%", "https://example.com/%2", "https://example.com/%zz", "https://example.com/\u{7F}",
    "https://example.com?a b", "https://example.com/|", "https://example.com/{x}", "https://example.com/\"",
  ]

  private static let resolutions = [
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
    "127.255.255.254", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2002:a00:1::", "2002:7f00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1",
    "fd00:ec2::254", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1",
  ]

  // MARK: Requests

  private static let paths = [
    "..", ".", "../admin", "..%2fadmin", "%2e%2e", "%2E%2E%2F", "%252e%252e", "a/b", "a\\\\b", "a%2fb", "a%5cb",
    "a%00b",
    "a\\u0000b", "a\\r\\nb", "a\\tb", "..;", "..;x=1", ".;", "\\uff0e\\uff0e", "\\u2024\\u2024", "a\\uff0fb",
    "a\\u2215b",
    "a\\u2044b", "\\u3002", "\\uff3c", "\\u007f", "",
  ]

  private static let queries = [
    #"{"access_token":"mine"}"#, #"{"ACCESS_TOKEN":"mine"}"#, #"{"api_key":"mine"}"#, #"{"client_secret":"x"}"#,
    #"{"oauth_token":"x"}"#, #"{"X-Amz-Signature":"x"}"#, #"{"_method":"DELETE"}"#, #"{"method":"delete"}"#,
    #"{"q":"1","unknown":"2"}"#, #"{"q&admin":"1"}"#, #"{"q=1&admin":"1"}"#, #"{"q\r\n":"1"}"#, #"{"":"1"}"#,
    #"{"q":{"a":1}}"#, #"{"q":null,"w":"1"}"#, #"{"key":"mine"}"#, #"{"Q":"1"}"#, #"[["q","1"]]"#, #""q=1""#,
  ]

  private static let headers = [
    #"{"authorization":"Bearer mine"}"#, #"{"Authorization":"Bearer mine"}"#, #"{"proxy-authorization":"x"}"#,
    #"{"x-api-key":"mine"}"#, #"{"X-Auth-Token":"mine"}"#, #"{"cookie":"a=b"}"#, #"{"cookie2":"a=b"}"#,
    #"{"host":"evil.example"}"#, #"{"Host":"evil.example"}"#, #"{"content-length":"0"}"#,
    #"{"transfer-encoding":"chunked"}"#, #"{"te":"trailers"}"#, #"{"trailer":"x"}"#, #"{"connection":"upgrade"}"#,
    #"{"upgrade":"h2c"}"#, #"{"http2-settings":"AAA"}"#, #"{"expect":"100-continue"}"#, #"{"content-encoding":"gzip"}"#,
    #"{"x-forwarded-for":"127.0.0.1"}"#, #"{"x-forwarded-host":"evil"}"#, #"{"forwarded":"for=127.0.0.1"}"#,
    #"{"x-real-ip":"127.0.0.1"}"#, #"{"x-original-url":"/admin"}"#, #"{"x-rewrite-url":"/admin"}"#,
    #"{"x-http-method-override":"DELETE"}"#, #"{"x-method-override":"DELETE"}"#, #"{"dpop":"x"}"#,
    #"{"signature":"x"}"#,
    #"{"x-amz-security-token":"x"}"#, #"{"sec-fetch-site":"none"}"#, #"{"via":"x"}"#, #"{"user-agent":"x"}"#,
    #"{"x-ok":"a\r\nHost: evil"}"#, #"{"x-ok":"a\nb"}"#, #"{"x-ok":"a\rb"}"#, #"{"x-ok":"a\u0000b"}"#,
    #"{"x-ok":"\u0085"}"#,
    #"{"x-ok\r\nhost":"evil"}"#, #"{"x-ok ":"1"}"#, #"{" x-ok":"1"}"#, #"{"x-ok:":"1"}"#, #"{"x-ok":"1","X-OK":"2"}"#,
    #"{"x-ok":["1"]}"#,
  ]

  private static let bodies = [
    #"{"rule":"form","form":{"access_token":"mine"}}"#, #"{"rule":"form","form":{"Access_Token":"mine"}}"#,
    #"{"rule":"form","form":{"client_secret":"mine"}}"#, #"{"rule":"form","form":{"token":"mine"}}"#,
    #"{"rule":"form","form":{"_method":"DELETE"}}"#, #"{"rule":"form","form":{"method":"delete"}}"#,
    #"{"rule":"write","json":{"access_token":"mine"}}"#, #"{"rule":"write","json":{"method":"DELETE"}}"#,
    #"{"rule":"write","json":{"auth":{"key":"mine"}}}"#, #"{"rule":"write","json":{"auth":[]}}"#,
    #"{"rule":"write","json":[{"auth":1}]}"#, #"{"rule":"write","json":{},"url":"https://evil.example/"}"#,
    #"{"rule":"write","json":{},"origin":"https://evil.example/"}"#,
    #"{"rule":"write","json":{},"host":"evil.example"}"#,
    #"{"rule":"write","json":{},"method":"DELETE"}"#, #"{"rule":"write","json":{},"slots":{}}"#,
    #"{"rule":"write","json":{},"auth":{"header.authorization":"other"}}"#, #"{"rule":"write","json":{},"form":{}}"#,
    #"{"rule":"write","text":"{}"}"#, #"{"rule":"read","path":{"id":"1"},"json":{}}"#,
    #"{"rule":"bot","path":{"token":"mine"},"json":{}}"#, #"{"rule":"captured","json":{}}"#,
    #"{"rule":"captured","captures":{"upload":"https://evil.example/"},"json":{}}"#,
    #"{"rule":"captured","captures":{"upload":"capture:../upload"},"json":{}}"#,
    #"{"rule":"captured","captures":{"upload":"capture:s/other"},"json":{}}"#,
    #"{"rule":"captured","captures":{"upload":"capture:s/upload","token":"capture:s/token"},"json":{}}"#,
    #"{"rule":"read\u0000","path":{"id":"1"}}"#, #"{"rule":"READ","path":{"id":"1"}}"#, #"{"rule":"missing"}"#,
    #"{"rule":"read","rule":"write","path":{"id":"1"},"json":{"auth":{"key":"x"}}}"#,
  ]

  // MARK: Answers

  private static let redirects = [
    "http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/", "https://[::ffff:169.254.169.254]/",
    "https://2852039166/", "https://0xa9.0xfe.0xa9.0xfe/", "http://127.0.0.1:6379/", "https://localhost/",
    "https://metadata.google.internal/", "https://evil.example/", "//evil.example/", "///evil.example/",
    "\\\\evil.example/",
    "https://api.example.com@evil.example/", "https://evil.example#@api.example.com/",
    "https://api.example.com.evil.example/",
    "https://api.example.com:22/follow/2", "http://api.example.com/follow/2", "HtTp://api.example.com/follow/2",
    "https://user@api.example.com/follow/2", "file:///etc/passwd", "/admin", "/follow/../admin", "/follow/%2e%2e/admin",
    "/follow/1/2", "/follow/a%2fadmin", "/bot123/send", "follow/../../admin", "/follow/2\\@evil.example",
  ]

  private static let answers = [
    // Two answers in one, headers without end, lines that are no headers.
    "HTTP/1.1 302 F\r\nLocation: /follow/2\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 302 F\r\nLocation: https://evil.example/\r\nLocation: /follow/2\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: \(String(repeating: "h", count: 40_000))\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
    "HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1 abc X\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "220 mail ESMTP\r\n", "",
    "HTTP/2 302\r\nlocation: https://evil.example/\r\n\r\n",
  ]
}
