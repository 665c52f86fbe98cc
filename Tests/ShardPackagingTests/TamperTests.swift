import Foundation
import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// A signed bundle in the hands of an attacker, and a node that trusts one key.
@Suite struct TamperTests {
  private let signed: SignedBundle

  init() throws {
    signed = try SignedBundle()
    try signed.load()
  }

  private func files() throws -> [(path: String, bytes: [UInt8])] {
    try contents(of: signed.node).sorted { $0.key < $1.key }
      .map { ("\(signed.node)/\($0.key)", $0.value) }
  }

  /// Refused as not trusted, with the file's name or the blob's digest in the sentence.
  private func expectRefused(
    _ path: String, _ what: @autoclosure () -> String,
    location: SourceLocation = #_sourceLocation
  ) {
    guard let found = signed.refusal() else {
      Issue.record("accepted: \(what()) of \(path)", sourceLocation: location)
      return
    }
    let isNamed =
      found.message.contains(Directory.name(of: path))
      // A changed manifest is told at the signature, which is of another one.
      || (path.hasSuffix("manifest.json") && found.message.contains("signature.json"))
    if found.exitStatus != .notTrusted || !isNamed {
      Issue.record(
        "\(what()) of \(path): \(found.exitStatus) \(found.message)", sourceLocation: location)
    }
  }

  @Test func everyByteFlippedIsRefused() throws {
    var flips = 0
    for (path, bytes) in try files() {
      let isSmall = path.hasSuffix("node.json")
      for index in bytes.indices {
        for bit in isSmall ? Array(0..<8) : [index & 7] {
          try patch(path, index, bytes[index] ^ 1 << UInt8(bit))
          expectRefused(path, "bit \(bit) of byte \(index)")
          flips += 1
        }
        try patch(path, index, bytes[index])
      }
    }
    try signed.load()
    print("flipped a bit \(flips) times, in every byte of every file: all refused")
  }

  @Test func everyTruncationIsRefused() throws {
    var count = 0
    for (path, bytes) in try files() {
      for length in 0..<bytes.count {
        try overwrite(path, Array(bytes[..<length]))
        expectRefused(path, "the first \(length) bytes")
        count += 1
      }
      for extra in [[0], [0x0A], [0x20], bytes] as [[UInt8]] {
        try overwrite(path, bytes + extra)
        expectRefused(path, "\(extra.count) more bytes")
      }
      try overwrite(path, bytes)
    }
    try signed.load()
    print("cut off at \(count) lengths, every one of every file: all refused")
  }

  /// Without a key the same bundle is judged by its digests: damage is bad data.
  @Test func withoutAKeyDamageIsBadData() throws {
    for (path, bytes) in try files() {
      let step = max(1, bytes.count / 200)
      for index in stride(from: 0, to: bytes.count, by: step) {
        try patch(path, index, bytes[index] ^ 1)
        let found = fault {
          _ = try VerifiedPackage.open(directory: signed.node).verifyAll()
        }
        // Whose key and signature it is nobody can tell without that key.
        let isSignature = path.hasSuffix("signature.json") && index > bytes.count - 190
        #expect(
          found?.exitStatus == .badData || isSignature && found == nil,
          "byte \(index) of \(path): \(found?.message ?? "accepted")")
        try patch(path, index, bytes[index])
      }
    }
    try signed.load()
  }

  @Test func missingAndSwappedFilesAreRefused() throws {
    let files = try files()
    for (path, bytes) in files {
      try Directory.remove(path)
      let found = signed.refusal()
      switch Directory.name(of: path) {
      case "manifest.json": #expect(found?.exitStatus == .noInput)
      // A node's directory without node.json is a bundle, and this one happens to be whole.
      case "node.json": #expect(found == nil)
      default: #expect(found?.exitStatus == .notTrusted, "\(path)")
      }
      try overwrite(path, bytes)
    }
    for (index, one) in files.enumerated() {
      for other in files[..<index] {
        try overwrite(one.path, other.bytes)
        try overwrite(other.path, one.bytes)
        #expect(signed.refusal()?.exitStatus == .notTrusted, "\(one.path) and \(other.path)")
        try overwrite(one.path, one.bytes)
        try overwrite(other.path, other.bytes)
      }
    }
    try signed.load()
  }

  /// Something else where a file was is as little what was signed as other bytes.
  @Test func otherThingsThanFilesAreRefused() throws {
    for (path, bytes) in try files() where path.contains("/blobs/") {
      let things: [(String) throws -> Void] = [
        { try Directory.create($0) },
        { try FileManager.default.createSymbolicLink(atPath: $0, withDestinationPath: $0) },
        { #expect(unsafe mkfifo($0, 0o600) == 0) },
      ]
      for make in things {
        try Directory.remove(path)
        try make(path)
        #expect(signed.refusal()?.exitStatus == .notTrusted)
        #expect(signed.refusal(nil, .off)?.exitStatus == .noInput)
      }
      try Directory.remove(path)
      try overwrite(path, bytes)
    }
    try signed.load()
    try Directory.remove("\(signed.bundle)/nodes/node-0/manifest.json")
    let found = fault {
      _ = try VerifiedPackage.open(directory: signed.bundle, trust: signed.trust()).verifyAll()
    }
    #expect(found?.exitStatus == .notTrusted)
  }

  /// Who can write, but not sign: digests and identities that are consistent again.
  @Test func consistentForgeriesAreRefused() throws {
    let original = try InputFile.contents(of: "\(signed.node)/manifest.json")
    var forgery = try Forgery(signed.node)
    try forgery.replaceStoredChunk(ofFile: "tokenizer.json", by: Array("{}".utf8))
    forgery.identify()
    try forgery.write()
    #expect(signed.refusal()?.code == "package.otherManifest")
    // With a payload that is the forged manifest, the signature does not fit.
    let old = try signed.key.signature(of: [])
    #expect(!signed.key.publicKey.isSignature(old, of: [1]))
    try signed.sign(signed.node, by: [signed.stranger]) {
      $0.replacing(
        signed.stranger.publicKey.id.description, with: signed.key.publicKey.id.description)
    }
    #expect(signed.refusal()?.code == "package.badSignature")
    try Directory.writeAtomically(original, to: "\(signed.node)/manifest.json")
    try signed.sign(signed.node, by: [signed.key])
    try signed.load()
  }

  /// A manifest that claims another version is not the signed one; a signed one of a version we
  /// do not know is bad data.
  @Test func unknownVersionsAndDuplicateKeysAreRefused() throws {
    var forgery = try Forgery(signed.node)
    forgery.manifest["schema"] = "shardtool.bundle/4"
    try forgery.write()
    #expect(signed.refusal()?.exitStatus == .notTrusted)
    try signed.sign(signed.node, by: [signed.key])
    let version = signed.refusal()
    #expect(version?.code == "package.version" && version?.exitStatus == .badData)
    let text = try Forgery(signed.place.appending("bundle")).manifest.serialized(.canonical)
    let twice = text.replacing("\"nodes\":", with: "\"nodes\":[],\"nodes\":")
    try Directory.writeAtomically(Forgery.seal(twice), to: "\(signed.node)/manifest.json")
    #expect(signed.refusal()?.exitStatus == .notTrusted)
    try signed.sign(signed.node, by: [signed.key])
    let duplicate = signed.refusal()
    #expect(duplicate?.code == "package.notJSON" && duplicate?.exitStatus == .badData)
    #expect(duplicate?.message.contains("nodes") == true)
  }

  @Test func everyOtherTextOfTheEnvelopeIsRefused() throws {
    let key = signed.key.publicKey.id.description
    let changes: [(String, (String) -> String)] = [
      ("payload twice", { $0.replacing("{\"payload\":", with: "{\"payload\":\"\",\"payload\":") }),
      (
        "type twice",
        {
          $0.replacing("\"payloadType\":", with: "\"payloadType\":\"a\",\"payloadType\":")
        }
      ),
      (
        "signatures twice",
        {
          $0.replacing("\"signatures\":", with: "\"signatures\":[],\"signatures\":")
        }
      ),
      ("key twice", { $0.replacing("\"keyid\":", with: "\"keyid\":\"\(key)\",\"keyid\":") }),
      ("one more member", { $0.replacing("{\"payload\":", with: "{\"a\":1,\"payload\":") }),
      ("one more member inside", { $0.replacing("{\"keyid\":", with: "{\"a\":1,\"keyid\":") }),
      ("white space", { $0.replacing(",\"sig\"", with: ", \"sig\"") }),
      ("no line feed", { String($0.dropLast()) }),
      ("two line feeds", { $0 + "\n" }),
      ("no signature", { $0.prefix { $0 != "[" } + "[]}\n" }),
      ("signature of no text", { $0.replacing("\"sig\":\"", with: "\"sig\":7,\"x\":\"") }),
      (
        "another order",
        { text in
          let payload = text.dropFirst().prefix { $0 != "," }
          return "{" + text.dropFirst(payload.count + 2).dropLast(2) + "," + payload + "}\n"
        }
      ),
      ("capitals in the key", { $0.replacing(key, with: key.uppercased()) }),
      ("an escape", { $0.replacing("payloadType", with: "payload\\u0054ype") }),
      ("a byte order mark", { "\u{FEFF}" + $0 }),
      ("no object", { _ in "[]\n" }),
      ("nothing", { _ in "" }),
      ("much depth", { _ in String(repeating: "[", count: 100_000) }),
    ]
    for (name, change) in changes {
      try signed.sign(signed.node, by: [signed.key], change)
      let found = signed.refusal()
      #expect(found?.exitStatus == .notTrusted, "\(name): \(found?.message ?? "accepted")")
      #expect(found?.message.contains("signature.json") == true, "\(name)")
      let without = fault { _ = try VerifiedPackage.open(directory: signed.node).verifyAll() }
      #expect(without?.exitStatus == .badData, "\(name): \(without?.message ?? "accepted")")
    }
    try signed.sign(signed.node, by: [signed.key])
    try signed.load()
  }

  /// The right key, over another type: what was signed for another purpose is no bundle.
  @Test func anotherPayloadTypeIsRefused() throws {
    for type in ["application/vnd.in-toto+json", "", SignedBundle.type + "x"] {
      try signed.sign(signed.node, by: [signed.key], type: type)
      #expect(signed.refusal()?.code == "package.payloadType")
      // The same signature under the right name.
      try signed.sign(signed.node, by: [signed.key], type: type) {
        $0.replacing(
          "\"payloadType\":\"\(type)\"", with: "\"payloadType\":\"\(SignedBundle.type)\"")
      }
      #expect(signed.refusal()?.code == "package.badSignature")
    }
  }

  /// node.json says nothing that the signed manifest does not fix, but which node it is.
  @Test func nodeDescriptorsAreBoundToTheSignedManifest() throws {
    let two = try SignedBundle(split: [1, 1])
    let path = "\(two.node)/node.json"
    let id = try VerifiedPackage.open(directory: two.node).bundleID
    for (name, bundle) in [
      ("node-1", id), ("node-7", id), ("node-0", Digest(of: [1]).description),
    ] {
      let inner =
        "{\"bundle_id\":\"\(bundle)\",\"name\":\"\(name)\",\"schema\":\"shardtool.bundle-node/1\"}"
      try Directory.writeAtomically(Forgery.seal(inner, name: "node"), to: path)
      #expect(two.refusal()?.exitStatus == .notTrusted, "\(name) \(bundle)")
    }
    // Without it the directory is a bundle that lacks the other node's blobs.
    try Directory.remove(path)
    #expect(two.refusal()?.code == "package.blobMissing")
    #expect(two.refusal()?.exitStatus == .notTrusted)
    // All of a bundle: the nodes' directories too.
    try two.load(two.bundle)
    for name in ["manifest.json", "signature.json", "node.json"] {
      let file = "\(two.bundle)/nodes/node-1/\(name)"
      var bytes = try InputFile.contents(of: file)
      bytes[bytes.count / 2] ^= 1
      try Directory.remove(file)
      try Directory.writeAtomically(bytes, to: file)
      let found = fault {
        _ = try VerifiedPackage.open(directory: two.bundle, trust: two.trust()).verifyAll()
      }
      #expect(found?.exitStatus == .notTrusted && found?.message.contains("node-1") == true)
      bytes[bytes.count / 2] ^= 1
      try Directory.writeAtomically(bytes, to: file)
    }
    _ = try VerifiedPackage.open(directory: two.bundle, trust: two.trust()).verifyAll()
  }
}
