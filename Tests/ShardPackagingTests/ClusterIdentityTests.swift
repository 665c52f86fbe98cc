import Foundation
import ShardPackaging
import TensorCore
import TestSupport
import Testing

/// The file that all machines of a cluster hold.
@Suite struct ClusterIdentityTests {
  private let place: TemporaryDirectory

  init() throws { place = try TemporaryDirectory() }

  private func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
    let path = place.appending(name)
    try Directory.writeAtomically(Array(text.utf8), to: path)
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    return path
  }

  private func text(_ path: String) throws -> String {
    String(decoding: try InputFile.contents(of: path), as: UTF8.self)
  }

  @Test func isWrittenOnceAndForOneReader() throws {
    let path = place.appending("cluster.pem")
    let made = try ClusterIdentity.create(at: path)
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
    let read = try ClusterIdentity(path: path)
    #expect(read.id == made.id && read.certificate == made.certificate)
    #expect(read.privateKey == made.privateKey)
    let before = try text(path)
    let again = fault { _ = try ClusterIdentity.create(at: path) }
    #expect(again?.code == "package.keyExists" && again?.exitStatus == .cannotCreate)
    #expect(try text(path) == before)
    #expect(try contents(of: place.path).keys.sorted() == ["cluster.pem"])
    let other = try ClusterIdentity.create(at: place.appending("other.pem"))
    #expect(other.id != made.id && other.certificate != made.certificate)
    // The file as other editors and systems write it is the same identity.
    let edited = try write("edited.pem", "\n" + before.replacing("\n", with: "\r\n") + "\n")
    #expect(try ClusterIdentity(path: edited).certificate == made.certificate)
  }

  @Test func everythingElseIsRefused() throws {
    let path = place.appending("cluster.pem")
    _ = try ClusterIdentity.create(at: path)
    let good = try text(path)
    let lines = good.split(separator: "\n").map(String.init)
    let end = try #require(lines.firstIndex(of: "-----BEGIN CERTIFICATE-----"))
    let (key, certificate) = (Array(lines[..<end]), Array(lines[end...]))
    let otherPath = place.appending("other.pem")
    _ = try ClusterIdentity.create(at: otherPath)
    let other = try text(otherPath).split(separator: "\n").map(String.init)
    let signing = try KeyPair(writingTo: place.appending("signing.key"))
    func joined(_ lines: [String]) -> String { lines.joined(separator: "\n") + "\n" }
    let flipped = certificate.map { $0.hasPrefix("-") ? $0 : $0.replacing("A", with: "B") }
    let wrong: [(String, String, String)] = [
      ("empty", "", "no cluster identity"), ("text", "hello\n", "no cluster identity"),
      ("key", joined(key), "no cluster identity"),
      ("certificate", joined(certificate), "no cluster identity"),
      ("turned", joined(certificate + key), "no cluster identity"),
      ("twice", good + good, "no cluster identity"), ("more", good + "x\n", "no cluster identity"),
      ("cut", String(good.dropLast(40)), "no cluster identity"),
      ("huge", good + String(repeating: "\n", count: 100_000), "no cluster identity"),
      ("mixed", joined(key + Array(other[end...])), "is damaged"),
      ("flipped", joined(key + flipped), "is damaged"),
    ]
    for (name, text, words) in wrong {
      let path = try write(name, text)
      let found = fault { _ = try ClusterIdentity(path: path) }
      #expect(found?.code == "package.badIdentity" && found?.exitStatus == .notTrusted, "\(name)")
      #expect(found?.message.contains(path) == true && found?.message.contains(words) == true)
    }
    #expect(
      fault { _ = try ClusterIdentity(path: signing.privatePath) }?.exitStatus == .notTrusted)
    // Nor does an identity sign bundles.
    #expect(fault { _ = try SigningKey(path: path) }?.code == "package.badKey")
    for mode in [0o640, 0o604, 0o660, 0o644] {
      let path = try write("open", good, mode: mode)
      let found = fault { _ = try ClusterIdentity(path: path) }
      #expect(found?.exitStatus == .notTrusted && found?.message.contains("chmod 600") == true)
    }
    #expect(
      fault { _ = try ClusterIdentity(path: place.appending("none")) }?.exitStatus == .noInput)
  }

  @Test func isLookedForInTheUsersConfiguration() {
    func path(_ variables: [String: String]) -> String? {
      ClusterIdentity.usualPath { variables[$0] }
    }
    #expect(path(["HOME": "/h"]) == "/h/.config/shardtool/cluster.pem")
    #expect(
      path(["HOME": "/h", "XDG_CONFIG_HOME": "/x"]) == "/x/shardtool/cluster.pem")
  }

  /// `openssl` reads the file, where it is installed: a certificate that its own key has signed.
  @Test func opensslAgrees() throws {
    let program = "/usr/bin/openssl"
    guard FileManager.default.isExecutableFile(atPath: program) else {
      print("no openssl program here: the certificate was not shown to it")
      return
    }
    let path = place.appending("cluster.pem")
    _ = try ClusterIdentity.create(at: path)
    let shown = try ProgramRun.run(
      program, ["x509", "-in", path, "-noout", "-subject", "-enddate", "-pubkey"])
    #expect(shown.status == 0 && shown.output.contains("shard cluster"), "\(shown.errors)")
    #expect(shown.output.contains("9999"))
    let key = try ProgramRun.run(program, ["pkey", "-in", path, "-pubout"])
    #expect(key.status == 0 && shown.output.hasSuffix(key.output), "\(key.errors)")
    let checked = try ProgramRun.run(
      program, ["verify", "-check_ss_sig", "-CAfile", path, path])
    #expect(checked.status == 0, "\(checked.output)\(checked.errors)")
  }
}
