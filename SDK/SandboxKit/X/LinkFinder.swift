/// Finds what the platform X turns into links: addresses with a scheme, and bare domains with a known ending.
struct LinkFinder {
  private let scalars: [Unicode.Scalar]

  init(_ scalars: [Unicode.Scalar]) {
    self.scalars = scalars
  }

  func links() -> [XTextAnalysis.Link] {
    // No dot, no link: most texts end here.
    guard scalars.contains(".") else { return [] }
    var links: [XTextAnalysis.Link] = []
    var index = 0
    while index < scalars.count {
      if index > 0, scalars[index - 1].isASCII, isLetterOrDigit(scalars[index - 1]) {
        // Within a word no link begins; scripts without spaces, such as Japanese, may stand right before one.
        index += 1
        continue
      }
      if mayStart(at: index), let end = linkEnd(at: index) {
        let text = String(String.UnicodeScalarView(scalars[index..<end]))
        links.append(.init(range: index..<end, text: text))
        index = end
      } else {
        index += 1
      }
    }
    return links
  }

  /// A link does not begin within a word, a mention, a tag, an e-mail address or a path.
  private func mayStart(at index: Int) -> Bool {
    guard isLetterOrDigit(scalars[index]) else { return false }
    guard index > 0 else { return true }
    let before = scalars[index - 1]
    switch before {
    case "@", "$", "#", "\u{FF20}", "\u{FF03}", ".", "-", "_", "/": return false
    default: return true
    }
  }

  private func linkEnd(at start: Int) -> Int? {
    for scheme in Self.schemes where matches(scheme, at: start) {
      let hostStart = start + scheme.count
      guard let hostEnd = hostEnd(from: hostStart), isDomain(hostStart..<hostEnd, needsKnownEnding: false) else {
        return nil
      }
      return tailEnd(from: hostEnd)
    }
    guard let hostEnd = hostEnd(from: start), isDomain(start..<hostEnd, needsKnownEnding: true) else { return nil }
    // `name@example.com` starts before its @; `user@` here means that this is the local part of an address.
    if hostEnd < scalars.count, scalars[hostEnd] == "@" { return nil }
    return tailEnd(from: hostEnd)
  }

  private static let schemes = ["https://", "http://"].map { Array($0.unicodeScalars) }

  private func matches(_ wanted: [Unicode.Scalar], at start: Int) -> Bool {
    guard scalars[start] == "h" || scalars[start] == "H", scalars.count - start >= wanted.count else { return false }
    return wanted.indices.allSatisfy {
      scalars[start + $0] == wanted[$0] || scalars[start + $0].properties.lowercaseMapping == String(wanted[$0])
    }
  }

  // MARK: Host

  private func isLetterOrDigit(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII {
      return ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
    }
    // Latin letters with accents; other scripts end a name, since no space does.
    return scalar.value < 0x250 && scalar.properties.isAlphabetic
  }

  private func isHostPart(_ scalar: Unicode.Scalar) -> Bool {
    isLetterOrDigit(scalar) || scalar == "." || scalar == "-" || scalar == "_"
  }

  private func hostEnd(from start: Int) -> Int? {
    var end = start
    while end < scalars.count, isHostPart(scalars[end]) { end += 1 }
    while end > start, !isLetterOrDigit(scalars[end - 1]) { end -= 1 }
    return end > start ? end : nil
  }

  private func isDomain(_ range: Range<Int>, needsKnownEnding: Bool) -> Bool {
    guard scalars[range].contains(".") else { return false }
    let labels = scalars[range].split(separator: ".", omittingEmptySubsequences: false)
    guard labels.count >= 2, labels.allSatisfy({ !$0.isEmpty && $0.count <= 63 }), let last = labels.last else {
      return false
    }
    let ending = String(String.UnicodeScalarView(last)).lowercased()
    if needsKnownEnding { return TopLevelDomains.contains(ending) && scalars[range].allSatisfy(\.isASCII) }
    // With a scheme any alphabetic ending will do: the list here is shorter than the platform's.
    return ending.hasPrefix("xn--") || last.count >= 2 && last.allSatisfy { !("0"..."9").contains($0) && $0 != "-" }
  }

  // MARK: Port, path, query

  private func tailEnd(from hostEnd: Int) -> Int {
    var end = hostEnd
    if end + 1 < scalars.count, scalars[end] == ":", ("0"..."9").contains(scalars[end + 1]) {
      end += 1
      while end < scalars.count, ("0"..."9").contains(scalars[end]) { end += 1 }
    }
    guard end < scalars.count, "/?#".unicodeScalars.contains(scalars[end]) else { return end }
    let start = end
    var depth = 0
    while end < scalars.count, isTail(scalars[end]) {
      if scalars[end] == "(" { depth += 1 }
      if scalars[end] == ")" {
        if depth == 0 { break }
        depth -= 1
      }
      end += 1
    }
    while end > start, !mayEnd(scalars[end - 1], openParentheses: depth) {
      if scalars[end - 1] == "(" { depth -= 1 }
      end -= 1
    }
    return end
  }

  private func isTail(_ scalar: Unicode.Scalar) -> Bool {
    if isLetterOrDigit(scalar) || (0x400..<0x530).contains(scalar.value) { return true }
    return "!*';:=+,.$/%#[]-_~@|&?()".unicodeScalars.contains(scalar)
  }

  private func mayEnd(_ scalar: Unicode.Scalar, openParentheses: Int) -> Bool {
    if isLetterOrDigit(scalar) || (0x400..<0x530).contains(scalar.value) { return true }
    if "=_#/+-&".unicodeScalars.contains(scalar) { return true }
    return scalar == ")" && openParentheses == 0
  }
}

/// Endings of names that make a bare domain a link.
enum TopLevelDomains {
  static func contains(_ ending: String) -> Bool { all.contains(ending) }

  private static let all = Set((generic + country).split(separator: " ").map(String.init))

  private static let generic = """
    com org net edu gov mil int info biz name pro aero coop museum jobs mobi travel tel cat asia post xxx arpa app dev \
    page web site online store shop blog news press media live tv video photo photos pics art design studio agency \
    digital marketing social network chat email link click zone world today life love work works team group company \
    business inc ltd llc gmbh global international cloud host hosting server systems software tech technology codes \
    computer games game gg fun wiki guide tips help support center city london berlin paris nyc tokyo wien hamburg \
    koeln cologne swiss eus gal scot wales amsterdam brussels events party club space earth eco green bio organic farm \
    food cafe bar pub restaurant pizza coffee beer wine bike run fit fitness health care doctor clinic dental hospital \
    school academy education university college training courses science foundation charity ngo ong church legal law \
    finance financial bank money cash fund capital ventures partners consulting solutions services expert guru ninja \
    rocks cool xyz top icu vip one plus lol wtf ink pink red blue black gold land house homes properties realty rent \
    estate build builders construction tools supply equipment auto car cars taxi flights holiday vacations hotel villas \
    tours cruises yachts fashion clothing shoes jewelry watch style boutique gift gifts toys baby kids family dog pet \
    music band audio film movie theater radio fm am show camera gallery graphics print ai io co me sh so to
    """

  private static let country = """
     ac ad ae af ag al ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf cg \
    ch ci ck cl cm cn cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fo fr ga gd ge gf gh gi gl gm \
    gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz \
    la lb lc li lk lr ls lt lu lv ly ma mc md mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl \
    no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg si sj sk sl sm sn sr \
    ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn tr tt tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za \
    zm zw
    """
}
