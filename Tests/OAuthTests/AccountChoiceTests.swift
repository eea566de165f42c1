import Cryptography
import JSONDocument
import OAuth
import PluginManifest
import Testing

@Suite struct AccountChoiceTests {
  @Test func pagesOfFacebook() throws {
    let accounts = try #require(try Platforms.facebook().accounts)
    let (choices, next) = accounts.read(
      try JSONValue.parse(
        #"""
        {"data": [
          {"id": "1", "name": "One", "username": "one", "access_token": "T1", "tasks": ["ANALYZE", "MANAGE"]},
          {"id": 20000000000000001, "name": "Two", "access_token": "T2", "tasks": ["ANALYZE"]},
          {"id": "3", "access_token": "", "tasks": ["MANAGE"]}, {"name": "Nobody"}, 7,
          {"id": "", "name": "Empty"}, {"id": "4", "name": "Four", "access_token": "T4"}
        ], "paging": {"cursors": {"after": "QVFI"}}}
        """#
      )
    )
    #expect(choices.map(\.id) == ["1", "20000000000000001", "3", "4"])
    #expect(choices.map(\.name) == ["One", "Two", "3", "Four"])
    #expect(choices.map(\.handle) == ["one", nil, nil, nil])
    #expect(choices.map { $0.token?.revealText() } == ["T1", "T2", nil, "T4"])
    // Without the task, or without a token where each account has its own, nothing can be published.
    #expect(choices.map(\.isUsable) == [true, false, false, false])
    #expect(next == "QVFI")
  }

  @Test(arguments: ["{}", "[]", "null", #"{"data": {}}"#, #"{"data": "x", "paging": 5}"#])
  func strangeAnswersHaveNoAccounts(text: String) throws {
    let accounts = try #require(try Platforms.facebook().accounts)
    let (choices, next) = accounts.read(try JSONValue.parse(text))
    #expect(choices.isEmpty && next == nil)
  }
}
