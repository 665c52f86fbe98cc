import Foundation
import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Whose bundles are taken, and which of them.
@Suite struct TrustTests {
  private let signed: SignedBundle

  init() throws { signed = try SignedBundle() }

  @Test func policiesDoWhatTheySay() throws {
    let theirs = signed.trust([signed.stranger])
    #expect(signed.refusal(nil, theirs)?.code == "package.unknownKey")
    #expect(signed.refusal(nil, theirs)?.exitStatus == .notTrusted)
    #expect(signed.refusal(nil, signed.trust([signed.stranger, signed.key])) == nil)
    let warned = try VerifiedPackage.open(
      directory: signed.node, trust: signed.trust([signed.stranger], policy: .warn))
    #expect(warned.trust.doubt?.code == "package.unknownKey")
    #expect(try warned.verifyAll().doubts.count == 1)
    try Directory.remove("\(signed.node)/signature.json")
    #expect(signed.refusal()?.code == "package.unsigned")
    #expect(signed.refusal()?.message.contains("signature.json is missing") == true)
    #expect(signed.refusal(nil, signed.trust(policy: .warn)) == nil)
    #expect(signed.refusal(nil, .off) == nil)
    // Doubts are one thing, damage is another.
    try overwrite("\(signed.node)/node.json", [1])
    #expect(signed.refusal(nil, signed.trust(policy: .warn))?.exitStatus == .badData)
  }

  @Test func severalKeysMaySign() throws {
    let third = try SigningKey.generate()
    try BundleSigning.sign(signed.bundle, with: signed.stranger)
    for directory in [signed.bundle, "\(signed.bundle)/nodes/node-0"] {
      for key in [signed.key, signed.stranger] {
        #expect(signed.refusal(directory, signed.trust([key])) == nil)
      }
      #expect(signed.refusal(directory, signed.trust([third]))?.code == "package.unknownKey")
    }
    let report = try VerifiedPackage.open(
      directory: signed.bundle, trust: signed.trust([signed.key, signed.stranger, third])
    ).verifyAll()
    #expect(report.signers.count == 2 && report.trustedKeys.count == 2)
    // Signing again changes nothing; a wrong signature of a trusted key beside a right one does.
    let bytes = try InputFile.contents(of: "\(signed.bundle)/signature.json")
    try BundleSigning.sign(signed.bundle, with: signed.stranger)
    #expect(try InputFile.contents(of: "\(signed.bundle)/signature.json") == bytes)
    var text = String(decoding: bytes, as: UTF8.self)
    let signatures = text.components(separatedBy: "\"sig\":\"").dropFirst().map { $0.prefix(88) }
    text = text.replacing(signatures[0], with: signatures[1])
    try overwrite("\(signed.bundle)/signature.json", Array(text.utf8))
    #expect(
      signed.refusal(signed.bundle, signed.trust([signed.key, signed.stranger]))?.code
        == "package.badSignature")
    #expect(fault { try BundleSigning.sign("\(signed.bundle)/blobs", with: signed.key) } != nil)
  }

  /// `sign` vouches for nothing that it has not checked.
  @Test func damagedBundlesAreNotSigned() throws {
    let blob = try VerifiedPackage.open(directory: signed.bundle).manifest.components[0].blob
    let path = "\(signed.bundle)/\(BundleFiles.blob(blob.digest))"
    let bytes = try InputFile.contents(of: path)
    try overwrite(path, bytes.reversed())
    let before = try InputFile.contents(of: "\(signed.bundle)/signature.json")
    #expect(
      fault { try BundleSigning.sign(signed.bundle, with: signed.stranger) }?.exitStatus
        == .badData)
    #expect(try InputFile.contents(of: "\(signed.bundle)/signature.json") == before)
  }

  /// One command at a time changes a bundle, by whatever name.
  @Test func bundlesAreLockedForSigning() throws {
    let path = "\(signed.bundle)/signature.json"
    let before = try InputFile.contents(of: path)
    let descriptor = unsafe open(signed.bundle, O_RDONLY | O_CLOEXEC)
    #expect(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
    let link = signed.place.appending("link")
    try FileManager.default.createSymbolicLink(
      atPath: link, withDestinationPath: signed.bundle)
    for directory in [signed.bundle, link] {
      let found = fault { try BundleSigning.sign(directory, with: signed.stranger) }
      #expect(found?.code == "package.busy" && found?.exitStatus == .tryAgain)
    }
    #expect(try InputFile.contents(of: path) == before)
    close(descriptor)
    let made = try BundleSigning.sign(link, with: signed.stranger).directories
    #expect(made == [link, "\(link)/nodes/node-0"])
    for directory in [signed.bundle, "\(signed.bundle)/nodes/node-0"] {
      #expect(signed.refusal(directory, signed.trust([signed.stranger])) == nil)
    }
  }

  /// The number that is signed next is nobody else's choice.
  @Test func numbersFollowOnlyWhatTheKeyHasSigned() throws {
    #expect(try signed.pack([1], sequence: 5).sequence == 5)
    #expect(try signed.pack([1]).sequence == 5)
    let path = "\(signed.bundle)/manifest.json"
    let good = try InputFile.contents(of: path)
    let text = String(decoding: good, as: UTF8.self)
    func expectRefused(by key: SigningKey? = nil) {
      let found = fault { try signed.pack([1], key: key) }
      #expect(found?.code == "package.sequence" && found?.exitStatus == .badData)
      #expect(found?.message.contains("--sequence N") == true)
    }
    expectRefused(by: signed.stranger)
    for changed in [
      text.replacing("\"sequence\":5", with: "\"sequence\":9000"), String(text.dropLast(9)),
    ] {
      #expect(changed != text)
      try overwrite(path, Array(changed.utf8))
      expectRefused()
    }
    try overwrite(path, good)
    try signed.sign(signed.bundle, by: [signed.stranger]) {
      $0.replacing(
        signed.stranger.publicKey.id.description, with: signed.key.publicKey.id.description)
    }
    expectRefused()
    #expect(try signed.pack([1], sequence: 6).sequence == 6)
    try signed.load(signed.bundle)
  }

  @Test func olderBundlesAreRefused() throws {
    let old = signed.place.appending("old")
    try copyTree(signed.bundle, to: old)
    try signed.load(old)
    // Another content over the signed bundle is the next number.
    let next = try signed.pack([1], called: nil, key: signed.key)
    #expect(next.sequence == 1)
    let model = SmallModel(layers: 1, hidden: 8, vocabulary: 8, seed: 9)
    try Directory.remove(signed.place.appending("quantized"))
    try model.write(to: signed.place.appending("quantized"))
    let second = try signed.pack([1])
    #expect(second.sequence == 2)
    try signed.load(signed.bundle)
    let found = signed.refusal(old)
    #expect(found?.code == "package.rolledBack" && found?.exitStatus == .notTrusted)
    #expect(found?.message.contains("number 1 of llama-1x8") == true)
    #expect(found?.message.contains("number 2") == true)
    // The old manifest in the new bundle's directory, with its signature and without.
    for names in [["manifest.json", "signature.json"], ["manifest.json"], ["signature.json"]] {
      let mixed = signed.place.appending("mixed")
      try Directory.remove(mixed)
      try copyTree(signed.bundle, to: mixed)
      for name in names {
        try overwrite("\(mixed)/\(name)", try InputFile.contents(of: "\(old)/\(name)"))
      }
      #expect(signed.refusal(mixed)?.exitStatus == .notTrusted)
    }
    // Warned of, it is read, and does not count.
    try signed.load(old, signed.trust(policy: .warn))
    try signed.load(signed.bundle)
    // Another name, another key, or no memory: another line.
    try signed.pack([1], to: "other", sequence: 1, called: "other")
    try signed.load(signed.place.appending("other"))
    try signed.pack([1], to: "theirs", sequence: 1, key: signed.stranger)
    try signed.load(signed.place.appending("theirs"), signed.trust([signed.stranger]))
    try Directory.remove(signed.state)
    try signed.load(old)
    // Numbers may jump; what is unsigned stays number 1.
    #expect(try signed.pack([1], sequence: 40).sequence == 40)
    let unsigned = try Packager.pack(
      .init(directory: signed.place.appending("quantized")), plan: model.plan([1]),
      to: signed.place.appending("unsigned"))
    #expect(unsigned.manifest.sequence == 1 && unsigned.signer == nil)
  }

  /// A number counts only when everything about its bundle was found right.
  @Test func damagedBundlesDoNotCount() throws {
    let newer = signed.place.appending("newer")
    try signed.pack([1], to: "newer", sequence: 7)
    let blob = try VerifiedPackage.open(directory: newer).manifest.components[1].blob
    let path = "\(newer)/\(BundleFiles.blob(blob.digest))"
    var bytes = try InputFile.contents(of: path)
    bytes[bytes.count - 1] ^= 1
    try Directory.remove(path)
    try overwrite(path, bytes)
    #expect(signed.refusal(newer)?.exitStatus == .notTrusted)
    try signed.load()
    #expect(try InputFile.contents(of: signed.state).isEmpty == false)
  }

  @Test func aMemoryThatCannotBeReadIsADoubt() throws {
    try signed.load()
    let good = try InputFile.contents(of: signed.state)
    let text = String(decoding: good, as: UTF8.self)
    for bad in [
      "", "{}", "[]", String(text.dropLast(3)),
      text.replacing("\"sequence\": 1", with: "\"sequence\": 0"),
      text.replacing("sequences/1", with: "sequences/2"),
      text.replacing("\"key\": \"sha256:", with: "\"key\": \"sha512:"),
    ] {
      try overwrite(signed.state, Array(bad.utf8))
      let found = signed.refusal()
      #expect(found?.code == "package.sequences" && found?.exitStatus == .notTrusted, "\(bad)")
      #expect(found?.message.contains(signed.state) == true)
    }
    try overwrite(signed.state, good)
    try signed.load()
    // A place that cannot be written would let older bundles pass later.
    try overwrite(signed.place.appending("file"), [1])
    let blocked = TrustRequirement(
      policy: .enforce, keys: [signed.key.publicKey],
      statePath: signed.place.appending("file/below"))
    #expect(signed.refusal(nil, blocked)?.exitStatus == .notTrusted)
    let nowhere = TrustRequirement(
      policy: .enforce, keys: [signed.key.publicKey], statePath: nil)
    #expect(signed.refusal(nil, nowhere)?.message.contains("--trust-state") == true)
  }

  /// Many processes of one machine remember at once, and nothing is lost.
  @Test func numbersOnlyGrow() async throws {
    let names = (0..<8).map { "line-\($0)" }
    for (index, name) in names.enumerated() {
      try signed.pack([1], to: name, sequence: 10 + index, called: name)
    }
    let signed = signed
    try await withThrowingTaskGroup(of: Void.self) { group in
      for round in 0..<24 {
        group.addTask { try signed.load(signed.place.appending("line-\(round % 8)")) }
      }
      try await group.waitForAll()
    }
    let value = try JSONParsing().parse(try InputFile.contents(of: signed.state))
    let lines = value["lines"]?.array ?? []
    #expect(lines.compactMap { $0["name"]?.string } == names)
    #expect(lines.compactMap { $0["sequence"]?.int } == Array(10..<18))
  }
}
