import Testing

@testable import SandboxKit

@Suite struct XMediaTests {
  private let x: XFixture

  init() throws {
    x = try XFixture()
  }

  private func create(_ media: [String], token: String = "alice-token") throws -> XFixture.Answer {
    let ids = media.map { "\"\($0)\"" }.joined(separator: ",")
    return try x.create(#"{"media":{"media_ids":[\#(ids)]}}"#, token: token)
  }

  private func isInvalid(_ answer: XFixture.Answer) -> Bool {
    answer.status == 400 && answer.message == "Your media IDs are invalid."
  }

  // MARK: One shot

  @Test func uploadsDescribesAndPublishesAnImage() throws {
    let upload = try x.multipart(
      "/2/media/upload",
      [("media", XFixture.png), ("media_category", Array("tweet_image".utf8)), ("media_type", Array("image/png".utf8))]
    )
    #expect(upload.status == 200)
    #expect(upload.body["data"]?["media_key"]?.string == "3_\(upload.id)")
    #expect(upload.body["data"]?["size"]?.integer == XFixture.png.count)
    #expect(upload.body["data"]?["expires_after_secs"]?.integer == 86_400)
    let alt = try x.post(
      "/2/media/metadata",
      #"{"id":"\#(upload.id)","metadata":{"alt_text":{"text":"A cat"}}}"#
    )
    #expect(alt.status == 200)
    let post = try x.create(#"{"text":"look","media":{"media_ids":["\#(upload.id)"]}}"#)
    #expect(post.status == 201)
    let shown = try x.get(
      "/2/tweets/\(post.id)",
      query: "expansions=attachments.media_keys&media.fields=alt_text&tweet.fields=entities"
    )
    #expect(shown.body["data"]?["attachments"]?["media_keys"] == .array([.string("3_\(upload.id)")]))
    #expect(shown.body["includes"]?["media"]?.array?.first?["alt_text"]?.string == "A cat")
    // As on the platform, the text ends with a short link for the picture.
    let link = shown.body["data"]?["entities"]?["urls"]?.array?.first
    #expect(link?["expanded_url"]?.string == "https://x.com/alice/status/\(post.id)/photo/1")
    #expect(shown.body["data"]?["text"]?.string == "look " + (link?["url"]?.string ?? "?"))
  }

  @Test func takesBase64InJSON() throws {
    let data = Base64.encode(XFixture.png)
    let answer = try x.post("/2/media/upload", #"{"media":"\#(data)","media_category":"tweet_image"}"#)
    #expect(answer.status == 200)
    #expect(try x.post("/2/media/upload", #"{"media":"?","media_category":"tweet_image"}"#).status == 400)
  }

  @Test func refusesBrokenUploads() throws {
    let category = ("media_category", Array("tweet_image".utf8))
    func status(_ fields: [(String, [UInt8])]) throws -> Int { try x.multipart("/2/media/upload", fields).status }
    #expect(try status([("media", XFixture.png)]) == 400)
    #expect(try status([category]) == 400)
    #expect(try status([("media", []), category]) == 400)
    #expect(try status([("media", XFixture.png), ("media_category", Array("tweet_video".utf8))]) == 400)
    #expect(try status([("media", Array("not an image".utf8)), category]) == 400)
    #expect(try status([("media", XFixture.mp4(seconds: 1)), category]) == 400)
    #expect(try status([("media", XFixture.png), category, ("bogus", [1])]) == 400)
    #expect(try status([("media", XFixture.png), category, ("media_type", Array("image/gif".utf8))]) == 400)
    #expect(try status([("media", XFixture.png), ("media_category", Array("tweet_gif".utf8))]) == 400)
    #expect(try status([("media", XFixture.gif), ("media_category", Array("tweet_gif".utf8))]) == 200)
    let largest = XFixture.png + [UInt8](repeating: 0, count: XPlatform.imageBytes - XFixture.png.count)
    #expect(try status([("media", largest), category]) == 200)
    #expect(try status([("media", largest + [0]), category]) == 400)
  }

  // MARK: Use

  @Test func refusesUnknownForeignAndExpiredMedia() throws {
    #expect(isInvalid(try create(["1"])))
    let media = try x.upload()
    #expect(isInvalid(try create([media], token: "bob-token")))
    x.now += 86_399_999
    #expect(try create([media]).status == 201)
    x.now += 1
    #expect(isInvalid(try create([media])))
  }

  @Test func boundsTheNumber() throws {
    var images: [String] = []
    for _ in 0..<5 { images.append(try x.upload()) }
    #expect(try create(Array(images.prefix(4))).status == 201)
    #expect(try create(images).status == 400)
    let gif = try x.upload(XFixture.gif)
    #expect(try create([gif]).status == 201)
    #expect(isInvalid(try create([gif, images[0]])))
  }

  @Test func boundsAltText() throws {
    let media = try x.upload()
    func describe(_ text: String, _ id: String, token: String = "alice-token") throws -> Int {
      try x.post(
        "/2/media/metadata",
        #"{"id":"\#(id)","metadata":{"alt_text":{"text":"\#(text)"}}}"#,
        token: token
      ).status
    }
    #expect(try describe(String(repeating: "é", count: 1000), media) == 200)
    #expect(try describe(String(repeating: "é", count: 1001), media) == 400)
    #expect(try describe("", media) == 400)
    #expect(try describe("a", "1") == 400)
    #expect(try describe("a", media, token: "bob-token") == 400)
    #expect(try x.post("/2/media/metadata", #"{"id":"\#(media)","metadata":{"bogus":{}}}"#).status == 400)
    #expect(try x.post("/2/media/metadata", #"{"id":"\#(media)"}"#).status == 400)
  }

  // MARK: In parts

  private func start(
    _ total: Int,
    type: String = "video/mp4",
    category: String = "tweet_video"
  ) throws -> XFixture.Answer {
    try x.post(
      "/2/media/upload/initialize",
      #"{"media_type":"\#(type)","media_category":"\#(category)","total_bytes":\#(total)}"#
    )
  }

  private func append(_ id: String, _ segment: String, _ bytes: [UInt8]) throws -> XFixture.Answer {
    try x.multipart("/2/media/upload/\(id)/append", [("media", bytes), ("segment_index", Array(segment.utf8))])
  }

  private func finalize(_ id: String) throws -> XFixture.Answer {
    try x.post("/2/media/upload/\(id)/finalize", "")
  }

  private func video(seconds: UInt32) throws -> String {
    let bytes = XFixture.mp4(seconds: seconds)
    let id = try start(bytes.count).id
    _ = try append(id, "0", Array(bytes[..<20]))
    _ = try append(id, "1", Array(bytes[20...]))
    _ = try finalize(id)
    return id
  }

  @Test func publishesAVideoWhenItIsReady() throws {
    let bytes = XFixture.mp4(seconds: 10)
    let id = try start(bytes.count).id
    #expect(isInvalid(try create([id])))
    #expect(try append(id, "0", bytes).status == 200)
    // The same part again is fine, with other bytes it is not.
    #expect(try append(id, "0", bytes).status == 200)
    #expect(try append(id, "0", [1]).status == 400)
    #expect(isInvalid(try create([id])))
    let finalized = try finalize(id)
    #expect(finalized.body["data"]?["processing_info"]?["state"]?.string == "pending")
    #expect(finalized.body["data"]?["processing_info"]?["check_after_secs"]?.integer == 1)
    #expect(isInvalid(try create([id])))
    x.now += 999
    let working = try x.get("/2/media/upload", query: "command=STATUS&media_id=\(id)")
    #expect(working.body["data"]?["processing_info"]?["state"]?.string == "in_progress")
    #expect(working.body["data"]?["processing_info"]?["progress_percent"]?.integer == 99)
    #expect(isInvalid(try create([id])))
    x.now += 1
    let status = try x.get("/2/media/upload", query: "command=STATUS&media_id=\(id)")
    #expect(status.body["data"]?["processing_info"]?["state"]?.string == "succeeded")
    #expect(try create([id]).status == 201)
    #expect(try append(id, "1", [1]).status == 400)
    #expect(try finalize(id).status == 400)
  }

  @Test func worksOnAGIFToo() throws {
    let id = try start(XFixture.gif.count, type: "image/gif", category: "tweet_gif").id
    _ = try append(id, "0", XFixture.gif)
    #expect(try finalize(id).body["data"]?["processing_info"]?["state"]?.string == "pending")
    #expect(isInvalid(try create([id])))
    x.now += 1000
    #expect(try create([id]).status == 201)
  }

  @Test func refusesWrongParts() throws {
    let id = try start(4).id
    #expect(try append(id, "1000", [1]).status == 400)
    #expect(try append(id, "-1", [1]).status == 400)
    #expect(try append(id, "x", [1]).status == 400)
    #expect(try append("1", "0", [1]).status == 400)
    #expect(try append(id, "999", [1]).status == 200)
    // A gap, then a wrong sum.
    #expect(try finalize(id).status == 400)
    let short = try start(4).id
    _ = try append(short, "0", [1, 2, 3])
    #expect(try finalize(short).status == 400)
    let large = try append(short, "1", [UInt8](repeating: 0, count: XPlatform.partBytes + 1))
    #expect(large.status == 413)
    #expect(large.isEmpty)
  }

  @Test func refusesWrongBeginnings() throws {
    #expect(try start(-1).status == 400)
    #expect(try start(0).status == 400)
    #expect(try start(8_589_934_593).status == 400)
    #expect(try start(10, type: "video/avi").status == 400)
    #expect(try start(10, type: "image/png", category: "tweet_gif").status == 400)
    #expect(try start(17_179_869_185).status == 400)
    #expect(try start(10, type: "image/png").status == 400)
    #expect(try start(10, category: "other").status == 400)
    #expect(try start(XPlatform.imageBytes + 1, type: "image/png", category: "tweet_image").status == 400)
    #expect(try start(XPlatform.gifBytes + 1, type: "image/gif", category: "tweet_gif").status == 400)
    #expect(try x.post("/2/media/upload/initialize", "{}").status == 400)
  }

  @Test func refusesFailedMedia() throws {
    let id = try start(3).id
    _ = try append(id, "0", [1, 2, 3])
    #expect(try finalize(id).body["data"]?["processing_info"]?["state"]?.string == "pending")
    x.now += 1000
    let status = try x.get("/2/media/upload", query: "command=STATUS&media_id=\(id)")
    #expect(status.body["data"]?["processing_info"]?["state"]?.string == "failed")
    #expect(status.body["data"]?["processing_info"]?["error"]?["message"]?.string == "Unsupported media format")
    #expect(isInvalid(try create([id])))
    let short = try video(seconds: 0)
    x.now += 1000
    #expect(isInvalid(try create([short])))
  }

  @Test func boundsTheDurationByUser() throws {
    let short = try video(seconds: 1200)
    let long = try video(seconds: 1201)
    x.now += 1000
    #expect(try create([short]).status == 201)
    let refused = try create([long])
    #expect(refused.status == 403)
    #expect(refused.detail == "This user is not allowed to post a video longer than 20 minutes.")
    try x.account("alice") { $0.subscription = .premium }
    #expect(try create([long]).status == 201)
  }
}
