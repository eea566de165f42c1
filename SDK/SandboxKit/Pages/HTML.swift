/// HTML text.
enum HTML {
  static func escape(_ text: String) -> String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "&"): bytes.append(contentsOf: "&amp;".utf8)
      case UInt8(ascii: "<"): bytes.append(contentsOf: "&lt;".utf8)
      case UInt8(ascii: ">"): bytes.append(contentsOf: "&gt;".utf8)
      case UInt8(ascii: "\""): bytes.append(contentsOf: "&quot;".utf8)
      case UInt8(ascii: "'"): bytes.append(contentsOf: "&#39;".utf8)
      default: bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  static func page(status: Int = 200, title: String, _ body: String) -> HTTPResponse {
    let text = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <title>\(escape(title)) · Rostrum sandbox</title>
      <style>\(style)</style>
      </head>
      <body>
      <header><a href="/">Rostrum sandbox</a><span>simulated, nothing here leaves this machine</span></header>
      <main>
      \(body)
      </main>
      </body>
      </html>

      """
    var response = HTTPResponse(status: status, contentType: "text/html; charset=utf-8", body: Array(text.utf8))
    // Texts come from outside: no script runs even if an escape were forgotten.
    response.set("content-security-policy", "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'")
    response.set("x-content-type-options", "nosniff")
    response.set("cache-control", "no-store")
    return response
  }

  private static let style = """
    :root{--page:#f6f7f8;--card:#fff;--text:#14181c;--soft:#5b6570;--line:#dfe3e7;--link:#0b65c2;--bad:#b3261e}
    @media(prefers-color-scheme:dark){:root{--page:#101418;--card:#191e24;--text:#e8ebee;--soft:#9aa4ae;--line:#2b323a;\
    --link:#79b8ff;--bad:#ff8a80}}
    *{box-sizing:border-box}
    body{margin:0;background:var(--page);color:var(--text);font:16px/1.5 system-ui,sans-serif}
    a{color:var(--link);text-decoration:none}
    a:hover,a:focus-visible{text-decoration:underline}
    header{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap;padding:.8rem 1.2rem;\
    border-bottom:1px solid var(--line)}
    header a{font-weight:650;color:inherit}
    header span,.soft{color:var(--soft);font-size:.9rem}
    main{max-width:42rem;margin:1.5rem auto;padding:0 1rem}
    h1{font-size:1.35rem;margin:0 0 1rem}
    h2{font-size:1.05rem;margin:2rem 0 .6rem}
    article{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1rem 1.1rem;margin:0 0 .9rem}
    .who{display:flex;gap:.7rem;align-items:center;margin-bottom:.6rem}
    .face{width:2.5rem;height:2.5rem;border-radius:50%;display:grid;place-items:center;color:#fff;font-weight:650;\
    background:#39597d;flex:none}
    .text{white-space:pre-wrap;overflow-wrap:anywhere;font-size:1.06rem;margin:0 0 .7rem}
    figure{margin:.7rem 0}
    img{max-width:100%;border-radius:10px;border:1px solid var(--line);display:block}
    figcaption{color:var(--soft);font-size:.88rem;margin-top:.3rem}
    pre{overflow:auto;background:var(--page);border:1px solid var(--line);border-radius:8px;padding:.8rem;\
    font-size:.85rem}
    .gone{color:var(--bad)}
    ul{padding-left:1.2rem}
    form article h2{margin:0 0 .4rem}
    form article p{margin:.35rem 0}
    .inner{margin-left:1.6rem!important}
    .row{display:flex;gap:.7rem}
    button{font:inherit;font-weight:600;padding:.55rem 1.4rem;border-radius:8px;border:1px solid var(--link);\
    background:var(--link);color:var(--page);cursor:pointer}
    button.quiet{background:none;color:inherit;border-color:var(--line)}
    """
}
