import Cryptography
import OAuth
import Testing

@Suite struct ProofKeyTests {
  /// RFC 7636, appendix B.
  @Test func challengesAreThoseOfTheStandard() {
    let proof = ProofKey(verifier: Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
    #expect(proof.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    #expect(proof.challengeInHex == "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3")
  }

  @Test func eachOneIsNew() {
    let texts = (0..<50).compactMap { _ in ProofKey().verifier.revealText() }
    #expect(Set(texts).count == 50)
    for text in texts {
      #expect(text.utf8.count == 43)
      #expect(
        text.utf8.allSatisfy { byte in
          (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "-_".utf8.contains(byte)
        }
      )
    }
  }
}
