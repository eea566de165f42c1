import Cryptography
import Testing

@testable import Identity

@Suite struct PasswordHashTests {
  private let cheap = Scrypt.Parameters(n: 16, r: 1, p: 1)

  @Test func onlyTheRightPasswordMatches() throws {
    let hash = try PasswordHash(Secret("correct horse"), parameters: cheap)
    let stored = try #require(PasswordHash(phc: hash.phc))
    #expect(stored == hash)
    let (right, wrong, none) = (
      try stored.matches(Secret("correct horse")), try stored.matches(Secret("correct horsf")),
      try stored.matches(Secret(""))
    )
    #expect(right)
    #expect(!wrong && !none)
    #expect(hash.phc.hasPrefix("$scrypt$ln=4,r=1,p=1$"))
    #expect(!hash.phc.contains("horse"))
    #expect(try PasswordHash(Secret("correct horse"), parameters: cheap).phc != hash.phc)
  }

  /// The second vector of RFC 7914, so that hashes of other programs can be brought along.
  @Test func knownHashesAreRead() throws {
    let phc =
      "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA"
    // Its salt is shorter than what this host makes or takes.
    #expect(PasswordHash(phc: phc) == nil)
    let derived = try Scrypt.derive(
      password: Secret("password"),
      salt: Array("NaCl".utf8),
      parameters: Scrypt.Parameters(n: 1_024, r: 8, p: 16),
      count: 64
    )
    #expect(phc.hasSuffix(Base64.encodeURL(derived.reveal()).replacing("-", with: "+").replacing("_", with: "/")))
  }

  @Test func weakerCostsAreSeen() throws {
    let hash = try PasswordHash(Secret("a"), parameters: cheap)
    #expect(!hash.isWeaker(than: cheap))
    #expect(hash.isWeaker(than: Scrypt.Parameters(n: 32, r: 1, p: 1)))
    #expect(hash.isWeaker(than: Scrypt.Parameters(n: 8, r: 2, p: 1)))
    #expect(hash.isWeaker(than: .interactive))
  }

  @Test(arguments: [
    "", "$", "$scrypt$", "$scrypt$ln=4,r=1,p=1$$",
    "$argon2id$ln=4,r=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
    "$scrypt$ln=0,r=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
    "$scrypt$ln=63,r=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
    "$scrypt$ln=99999999999999999999,r=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
    "$scrypt$ln=4,ln=5,r=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
    "$scrypt$ln=4,r=1,p=1,x=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
    "$scrypt$ln=4,r=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
    "$scrypt$ln=4,r=1,p=1$!$AAAAAAAAAAAAAAAAAAAAAA", "$scrypt$ln=4,r=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA",
    "$scrypt$ln=4,r=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA$",
  ])
  func strangeStringsAreNone(phc: String) {
    #expect(PasswordHash(phc: phc) == nil)
  }

  @Test func nobodyCostsTheSameAndNeverMatches() async throws {
    let hasher = PasswordHasher(parameters: cheap)
    #expect(PasswordHash(matchingNothing: cheap).parameters == cheap)
    #expect(try await !hasher.matches(Secret("anything"), nil))
  }

  @Test func onlyTwoAreHashedAtOnce() async throws {
    // Slow enough that all of them are asked for before the first one ends.
    let hasher = PasswordHasher(parameters: Scrypt.Parameters(n: 1 << 15, r: 8, p: 1))
    let results = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<20 {
        group.addTask {
          do {
            _ = try await hasher.hash(Secret("password"))
            return true
          } catch {
            return (error as? SignInError) != .busy
          }
        }
      }
      var results: [Bool] = []
      for await result in group { results.append(result) }
      return results
    }
    #expect(results.contains(true) && results.contains(false))
    // Nothing stays taken.
    _ = try await hasher.hash(Secret("password"))
  }

  @Test(arguments: [
    ("short", false), ("elevenchars", false), ("twelve chars", true), ("aaaaaaaaaaaaaaaa", false),
    ("abababababababab", false), ("Owner@Example.org", false), ("a longer sentence of mine", true),
    (String(repeating: "abcdef", count: 167), false),
  ])
  func passwordsHaveRules(password: String, isTaken: Bool) {
    var isAllowed = true
    do throws(SignInError) {
      try PasswordRule.check(password, email: "owner@example.org")
    } catch {
      isAllowed = false
    }
    #expect(isAllowed == isTaken)
  }
}
