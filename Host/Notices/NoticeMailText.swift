/// What a mail says of one notice, or of several.
struct NoticeMailText: Sendable, Equatable {
  let subject: String
  let body: String

  init(_ notices: [(notice: Notice, site: String?)], publicURL: String?) {
    if notices.count == 1, let (notice, site) = notices.first {
      subject = "[\(site ?? "Rostrum")] \(notice.title)"
    } else {
      subject = "[Rostrum] \(notices.count) notices"
    }
    var text = ""
    for (notice, site) in notices {
      text += "\(notice.title)\n"
      text += "\(site.map { "Site: \($0)" } ?? "The host as a whole") - \(notice.severity.rawValue)\n"
      if notice.closedAt != nil { text += "This is over already.\n" }
      text += "\n\(notice.message)\n"
      text += "\n---\n\n"
    }
    if let publicURL { text += "See \(publicURL)\n" }
    text += "You get one mail for each cause. Which ones you get is yours to choose, see the notice settings.\n"
    body = text
  }
}
