import Foundation
import ShardPackaging
import TensorCore
import TestSupport
import Testing

/// Keys in files, and where they are looked for.
@Suite struct KeyTests {
  private let place: TemporaryDirectory

  init() throws { place = try TemporaryDirectory() }

  private func write(_ name: String, _ text: String) throws -> String {
    try Directory.writeAtomically(Array(text.utf8), to: place.appending(name))
    return place.appending(name)
  }

  private func bytes(_ hexadecimal: String) -> [UInt8] {
    var digits = hexadecimal[...]
    var bytes: [UInt8] = []
    while let byte = UInt8(digits.prefix(2), radix: 16) {
      bytes.append(byte)
      digits = digits.dropFirst(2)
    }
    return bytes
  }

  /// RFC 8032 §7.1, tests 1 to 3: seed, public key, message, signature.
  @Test(arguments: [
    (
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
        + "b46bd25bf5f0595bbe24655141438e7a100b"
    ),
    (
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
        + "1d8c387b2eaeb4302aeeb00d291612bb0c00"
    ),
    (
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
        + "c6594a7c15e9716ed28dc027beceea1ec40a"
    ),
  ])
  func signaturesAreThoseOfTheStandard(
    seed: String, key: String, message: String, signature: String
  ) throws {
    let der = bytes("302e020100300506032b657004220420" + seed)
    let text = Data(der).base64EncodedString()
    let path = try write(
      "rfc.key", "-----BEGIN PRIVATE KEY-----\n\(text)\n-----END PRIVATE KEY-----\n")
    let signing = try SigningKey(path: path)
    let spki = bytes("302a300506032b6570032100" + key)
    #expect(signing.publicKey.id == Digest(of: spki))
    #expect(signing.publicKey.fileText.contains(Data(spki).base64EncodedString()))
    #expect(try signing.signature(of: bytes(message)) == bytes(signature))
    #expect(signing.publicKey.isSignature(bytes(signature), of: bytes(message)))
    #expect(!signing.publicKey.isSignature(bytes(signature), of: bytes(message) + [0]))
    #expect(!signing.publicKey.isSignature(Array(bytes(signature).dropLast()), of: bytes(message)))
    #expect(!signing.publicKey.isSignature([], of: bytes(message)))
  }

  @Test func pairsAreWrittenOnceAndForOneReader() throws {
    let path = place.appending("me.key")
    let pair = try KeyPair(writingTo: path)
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600 && !KeyPair.isOpenToOthers(path))
    #expect(KeyPair.isOpenToOthers(pair.publicPath))
    let key = try SigningKey(path: path)
    #expect(try PublicKey(path: path + ".pub") == key.publicKey && key.publicKey.id == pair.id)
    let before = try contents(of: place.path)
    #expect(before.keys.sorted() == ["me.key", "me.key.pub"])
    #expect(fault { _ = try KeyPair(writingTo: path) }?.exitStatus == .cannotCreate)
    try Directory.remove(path)
    let half = fault { _ = try KeyPair(writingTo: path) }
    #expect(half?.code == "package.keyExists" && half?.message.contains("me.key.pub") == true)
    #expect(try contents(of: place.path).keys.sorted() == ["me.key.pub"])
    let nowhere = fault { _ = try KeyPair(writingTo: place.appending("no/where.key")) }
    #expect(nowhere?.exitStatus == .cannotCreate)
  }

  @Test func otherFilesAreNoKeys() throws {
    let pair = try KeyPair(writingTo: place.appending("me.key"))
    let good = String(
      decoding: try InputFile.contents(of: pair.publicPath), as: UTF8.self)
    let lines = good.split(separator: "\n").map(String.init)
    let x25519 = Data(bytes("302a300506032b656e032100") + [UInt8](repeating: 9, count: 32))
    func pem(_ body: String) -> String { "\(lines[0])\n\(body)\n\(lines[2])\n" }
    let wrong: [(String, String)] = [
      ("empty", ""), ("text", "hello\n"), ("two", good + good),
      ("cut", String(good.dropLast(30))), ("short", pem(String(lines[1].dropLast(4)))),
      ("damaged", pem(lines[1].replacing("A", with: "!"))),
      ("curve", pem(x25519.base64EncodedString())),
      ("long", pem(lines[1] + "AAAA")), ("huge", String(repeating: "A", count: 100_000)),
      ("certificate", good.replacing("PUBLIC KEY", with: "CERTIFICATE")),
    ]
    for (name, text) in wrong {
      let path = try write("\(name).pub", text)
      let found = fault { _ = try PublicKey(path: path) }
      #expect(found?.code == "package.badKey" && found?.exitStatus == .notTrusted, "\(name)")
      #expect(found?.message.contains(path) == true)
    }
    let secret = fault { _ = try PublicKey(path: pair.privatePath) }
    #expect(secret?.message.contains("is a private key") == true)
    let open = fault { _ = try SigningKey(path: pair.publicPath) }
    #expect(open?.message.contains("is a public key") == true && open?.exitStatus == .badData)
    let encrypted = try write(
      "locked.key",
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    #expect(
      fault { _ = try SigningKey(path: encrypted) }?.message.contains("password") == true)
    #expect(fault { _ = try PublicKey(path: place.appending("none")) }?.exitStatus == .noInput)
    // What other editors make of the file is the same key.
    let edited = try write("edited.pub", "\n" + good.replacing("\n", with: "\r\n") + "\n")
    #expect(try PublicKey(path: edited).id == pair.id)
  }

  /// Keys by option, environment and configuration: the first that names some.
  @Test func keysComeFromThePlacesInTurn() throws {
    let pairs = try (0..<3).map { try KeyPair(writingTo: place.appending("\($0).key")) }
    let home = place.appending("home")
    func requirement(
      _ paths: [String] = [], _ policy: TrustPolicy? = nil, _ variables: [String: String] = [:]
    ) throws -> TrustRequirement {
      let environment = ["HOME": home].merging(variables) { $1 }
      return try TrustRequirement(paths: paths, policy: policy, environment: { environment[$0] })
    }
    func ids(_ requirement: TrustRequirement) -> [Digest] { requirement.keys.map(\.id) }
    #expect(try requirement().policy == .off)
    #expect(fault { _ = try requirement([], .enforce) }?.exitStatus == .notTrusted)
    #expect(fault { _ = try requirement([], .warn) }?.exitStatus == .notTrusted)
    let folder = home + "/.config/shardtool/trust"
    try Directory.create(folder)
    #expect(try requirement().policy == .off)
    try Directory.link(pairs[0].publicPath, to: folder + "/a.pub")
    try Directory.writeAtomically([1], to: folder + "/README")
    let configured = try requirement()
    #expect(configured.policy == .enforce && ids(configured) == [pairs[0].id])
    let variable = try requirement([], nil, ["SHARD_TRUST": "\(pairs[1].publicPath):\(folder)"])
    #expect(variable.policy == .enforce && ids(variable) == [pairs[1].id, pairs[0].id])
    #expect(try requirement([], nil, ["SHARD_TRUST": ""]).policy == .off)
    let option = try requirement(
      [pairs[2].publicPath, pairs[2].publicPath], .warn, ["SHARD_TRUST": pairs[1].publicPath])
    #expect(option.policy == .warn && ids(option) == [pairs[2].id])
    #expect(try requirement([pairs[2].publicPath], .off).policy == .off)
    let other = place.appending("other/shardtool/trust")
    try Directory.create(other)
    try Directory.link(pairs[2].publicPath, to: other + "/c.pem")
    let xdg = try requirement([], nil, ["XDG_CONFIG_HOME": place.appending("other")])
    #expect(ids(xdg) == [pairs[2].id])
    // A key that cannot be read is a doubt, not one key less.
    try Directory.writeAtomically([1], to: folder + "/b.pub")
    #expect(fault { _ = try requirement() }?.exitStatus == .notTrusted)
    let empty = place.appending("empty")
    try Directory.create(empty)
    #expect(fault { _ = try requirement([empty]) }?.exitStatus == .notTrusted)
  }

  /// What cannot be looked at may hold keys, and who has no HOME has a home all the same.
  @Test func placesThatCannotBeReadAreADoubt() throws {
    let home = place.appending("home")
    let folder = home + "/.config/shardtool/trust"
    func requirement(
      _ home: String, _ policy: TrustPolicy? = nil, _ list: String? = nil
    ) throws -> TrustRequirement {
      let variables = ["HOME": home, "SHARD_TRUST": list]
      return try TrustRequirement(
        paths: [], policy: policy, environment: { variables[$0] ?? nil })
    }
    #expect(try requirement(home).policy == .off)
    try Directory.create(Directory.parent(of: folder))
    let things: [(String) throws -> Void] = [
      { try FileManager.default.createSymbolicLink(atPath: $0, withDestinationPath: $0) },
      { try Directory.writeAtomically([1], to: $0) },
    ]
    for make in things {
      try Directory.remove(folder)
      try make(folder)
      let found = fault { _ = try requirement(home) }
      #expect(found?.code == "package.noTrustedKey" && found?.exitStatus == .notTrusted)
      #expect(found?.message.contains(folder) == true)
      #expect(try requirement(home, .off).policy == .off)
      #expect(try requirement(home, nil, "").policy == .off)
    }
    // Below a file there is surely nothing.
    #expect(try requirement(folder).policy == .off)
    let account = unsafe getpwuid(getuid())
    let directory = unsafe account.map { unsafe String(cString: $0.pointee.pw_dir) }
    let own = try #require(directory) + "/.config/shardtool/trust"
    let found = fault {
      _ = try TrustRequirement(paths: [], policy: .enforce, environment: { _ in nil })
    }
    #expect(found?.message.contains(own) ?? Directory.exists(own))
  }

  /// `openssl` agrees about a key of ours and a signature of a bundle, where it is installed.
  @Test func opensslAgrees() throws {
    let program = "/usr/bin/openssl"
    guard FileManager.default.isExecutableFile(atPath: program) else {
      print("no openssl program here: signatures were not compared with it")
      return
    }
    let theirs = place.appending("theirs.key")
    let made = try ProgramRun.run(
      program, ["genpkey", "-algorithm", "ed25519", "-out", theirs])
    #expect(made.status == 0, "\(made.errors)")
    let key = try SigningKey(path: theirs)
    let shown = try ProgramRun.run(program, ["pkey", "-in", theirs, "-pubout"])
    #expect(shown.output == key.publicKey.fileText)
    let message = Array("DSSEv1 1 a 2 xy".utf8)
    let (text, signature) = (place.appending("message"), place.appending("signature"))
    try Directory.writeAtomically(message, to: text)
    try Directory.writeAtomically(try key.signature(of: message), to: signature)
    let publicPath = try write("theirs.pub", key.publicKey.fileText)
    let checked = try ProgramRun.run(
      program,
      [
        "pkeyutl", "-verify", "-pubin", "-inkey", publicPath, "-rawin", "-in", text,
        "-sigfile", signature,
      ])
    #expect(checked.status == 0, "\(checked.output)\(checked.errors)")
  }
}
