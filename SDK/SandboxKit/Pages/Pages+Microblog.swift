/// The pages of the platform Microblog.
extension Pages {
  /// The part of the first page.
  func notesIndex() -> String {
    let (notes, accounts) = router.microblog.state.withLock { ($0.notes.suffix(200), $0.accounts) }
    guard !accounts.isEmpty else { return "" }
    var html = "<h2>Microblog</h2>\n<p>"
    html += accounts.map { "<a href=\"/notes/\($0.username)\">\($0.username)</a>" }.joined(separator: " · ")
    return html + "</p>\n" + notes.reversed().map { card($0, accounts[$0.account]) }.joined()
  }

  /// The notes of one account.
  func blog(_ username: String) -> HTTPResponse {
    let (notes, accounts) = router.microblog.state.withLock { ($0.notes, $0.accounts) }
    guard let index = accounts.firstIndex(where: { $0.username == username }) else {
      return missing("There is no such account.")
    }
    let cards = notes.filter { $0.account == index }.suffix(200).reversed().map { card($0, accounts[index]) }.joined()
    return HTML.page(title: username, "<h1>\(HTML.escape(accounts[index].name))</h1>\n\(cards)")
  }

  /// One note.
  func note(_ id: String) -> HTTPResponse {
    let found = router.microblog.state.withLock { state in
      state.notes.first { String($0.id) == id }.map { ($0, state.accounts[$0.account]) }
    }
    guard let (note, account) = found else { return missing("There is no such note.") }
    return HTML.page(
      status: note.deletedAt == nil ? 200 : 404,
      title: "\(account.username): \(note.text.prefix(60))",
      card(note, account)
    )
  }

  private func card(_ note: MicroblogNote, _ account: MicroblogAccount) -> String {
    var html = "<article>\n<p><b>\(HTML.escape(account.name))</b></p>\n"
    if note.deletedAt != nil {
      html += "<p class=\"gone\">This note was deleted.</p>\n"
    } else {
      html += "<p class=\"text\">\(HTML.escape(note.text))</p>\n"
      for id in note.pictures { html += figure(id) }
    }
    html += "<a class=\"soft\" href=\"/notes/\(account.username)/\(note.id)\">"
    return html + "<time>\(CivilTime(milliseconds: note.at).iso)</time></a>\n</article>\n"
  }

  private func figure(_ id: String) -> String {
    guard let picture = router.microblog.state.withLock({ $0.pictures[id] }) else { return "" }
    let type = MediaFormat(picture.bytes)?.rawValue ?? "application/octet-stream"
    let alt = HTML.escape(picture.alt)
    let source = "data:\(type);base64,\(Base64.encode(picture.bytes))"
    return "<figure><img src=\"\(source)\" alt=\"\(alt)\"><figcaption>\(alt)</figcaption></figure>\n"
  }
}
