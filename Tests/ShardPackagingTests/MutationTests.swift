import Foundation
import ModelArchitectures
import ShardPackaging
import StrictJSON
import TensorCore
import TensorKernels
import TestSupport
import Testing

/// A bundle on its way through Wi-Fi, USB sticks and half-full disks.
@Suite struct MutationTests {
  private let place: TemporaryDirectory
  private let node: String
  private let manifest: Manifest

  init() throws {
    place = try TemporaryDirectory()
    node = place.appending("node")
    let model = SmallModel(layers: 1, hidden: 8, vocabulary: 8)
    let quantized = try model.write(to: place.appending("quantized"))
    let bundle = place.appending("bundle")
    manifest = try Packager.pack(
      quantized, plan: model.plan([1]), to: bundle, chunkByteCount: 64
    ).manifest
    try copyTree("\(bundle)/nodes/node-0", to: node)
    _ = try VerifiedPackage.open(directory: node).verifyAll()
  }

  /// What a node does before it executes.
  private func load() throws {
    let package = try VerifiedPackage.open(directory: node)
    try package.readComponents(package.components) { _, _, _, _ in }
  }

  private var blobs: [(path: String, reference: BlobReference)] {
    manifest.blobs.map { ("\(node)/\(BundleFiles.blob($0.digest))", $0) }
  }

  @Test func oneBitAnywhereInBlobsIsFoundAndNamed() throws {
    var flips = 0
    for (path, blob) in blobs {
      let bytes = try InputFile.contents(of: path)
      for index in bytes.indices {
        try patch(path, index, bytes[index] ^ 1 << UInt8(index & 7))
        defer { try? patch(path, index, bytes[index]) }
        let found = fault(load)
        flips += 1
        guard let found, found.exitStatus == .badData else {
          Issue.record("byte \(index) of \(path): \(found?.message ?? "accepted")")
          continue
        }
        // The blob, what is in it, and where.
        #expect(found.context["blob"] == blob.digest.description)
        #expect(found.message.contains(blob.digest.hexadecimal))
        let subject = found.context["tensor"] ?? found.context["file"] ?? "?"
        #expect(found.message.contains(subject))
        let offset = Int(found.context["offset"] ?? "") ?? .max
        #expect(offset <= index && index < offset + 4096)
        guard index % 8 == 0 else { continue }
        #expect(fault { _ = try VerifiedPackage.open(directory: node).verifyAll() } != nil)
      }
    }
    #expect(flips == manifest.blobs.reduce(0) { $0 + $1.byteCount })
    try load()
    print("flipped one bit in each of \(flips) bytes of blobs: all found")
  }

  @Test(arguments: ["manifest.json", "node.json"])
  func oneBitAnywhereInDescriptionsIsFound(name: String) throws {
    let path = "\(node)/\(name)"
    let bytes = try InputFile.contents(of: path)
    for index in bytes.indices {
      for bit in name == "node.json" ? Array(0..<8) : [index & 7] {
        try patch(path, index, bytes[index] ^ 1 << UInt8(bit))
        defer { try? patch(path, index, bytes[index]) }
        let found = fault(load)
        if found == nil || found?.exitStatus != .badData || found?.message.contains(name) != true {
          Issue.record("bit \(bit) of byte \(index): \(found?.message ?? "accepted")")
        }
      }
    }
    try load()
  }

  @Test func truncatedAndExtendedFilesAreFound() throws {
    let names = ["manifest.json", "node.json"].map { "\(node)/\($0)" } + blobs.map(\.path)
    for path in names {
      let bytes = try InputFile.contents(of: path)
      let step = max(1, bytes.count / 97)
      for length in stride(from: 0, to: bytes.count, by: step) {
        try overwrite(path, Array(bytes[..<length]))
        let found = fault(load)
        #expect(found?.exitStatus == .badData, "\(length) of \(bytes.count) bytes of \(path)")
        #expect(found?.message.contains(Directory.name(of: path)) == true)
      }
      for extra in [[0], [0x0A], [0x20], bytes] as [[UInt8]] {
        try overwrite(path, bytes + extra)
        #expect(fault(load)?.exitStatus == .badData, "\(extra.count) more bytes in \(path)")
      }
      try overwrite(path, bytes)
    }
    try load()
  }

  @Test func swappedAndMissingBlobsAreFound() throws {
    for (index, one) in blobs.enumerated() {
      let other = blobs[(index + 1) % blobs.count]
      let (first, second) = (
        try InputFile.contents(of: one.path), try InputFile.contents(of: other.path)
      )
      try overwrite(one.path, second)
      try overwrite(other.path, first)
      #expect(fault(load)?.exitStatus == .badData)
      try overwrite(one.path, first)
      try overwrite(other.path, second)
      try Directory.remove(one.path)
      let missing = fault(load)
      #expect(missing?.code == "package.blobMissing")
      #expect(missing?.message.contains(one.reference.digest.hexadecimal) == true)
      try Directory.create(one.path)
      #expect(fault(load) != nil)
      try Directory.remove(one.path)
      try overwrite(one.path, first)
    }
    // The same length, other bytes: a blob of another bundle.
    let blob = blobs[1]
    let bytes = try InputFile.contents(of: blob.path)
    try overwrite(blob.path, bytes.reversed())
    #expect(fault(load)?.code == "package.digestMismatch")
    try overwrite(blob.path, bytes)
    try load()
  }

  @Test func aFileThatShrinksWhileItIsReadIsFound() throws {
    let package = try VerifiedPackage.open(directory: node)
    let blob = try #require(package.manifest.component(.block(0))).blob
    let path = "\(node)/\(BundleFiles.blob(blob.digest))"
    let bytes = try InputFile.contents(of: path)
    var isFirst = true
    let found = fault {
      try package.readComponent(.block(0)) { _, _, _, _ in
        if isFirst { try overwrite(path, Array(bytes[..<(bytes.count / 2)])) }
        isFirst = false
      }
    }
    #expect(found?.code == "package.blobTruncated")
    try overwrite(path, bytes)
  }

  /// Whatever the threads, the first bad chunk is the one that is named.
  @Test func theFirstFaultIsNamed() throws {
    let blob = try #require(manifest.component(.block(0))).blob
    let path = "\(node)/\(BundleFiles.blob(blob.digest))"
    var bytes = try InputFile.contents(of: path)
    for index in stride(from: bytes.count / 3, to: bytes.count, by: 100) { bytes[index] ^= 0x80 }
    try overwrite(path, bytes)
    let package = try VerifiedPackage.open(directory: node)
    let alone = fault { _ = try package.verifyAll() }
    for threads in [2, 4] {
      let pool = WorkerPool(threads: threads)
      for _ in 0..<20 {
        #expect(fault { _ = try package.verifyAll(pool: pool) }?.message == alone?.message)
      }
    }
  }

  @Test func copiedNodesOfABundleAreCheckedToo() throws {
    let bundle = place.appending("bundle")
    let part = "\(bundle)/nodes/node-0"
    try Directory.remove(part)
    try copyTree(node, to: part)
    #expect(try VerifiedPackage.open(directory: bundle).verifyAll().nodeDirectories == [part])
    let path = "\(part)/\(BundleFiles.blob(manifest.components[1].blob.digest))"
    let bytes = try InputFile.contents(of: path)
    var damaged = bytes
    damaged[bytes.count - 1] ^= 1
    try overwrite(path, damaged)
    let found = fault { _ = try VerifiedPackage.open(directory: bundle).verifyAll() }
    #expect(found?.code == "package.digestMismatch")
    try Directory.remove(part)
    _ = try VerifiedPackage.open(directory: bundle).verifyAll()
  }

  @Test func placesThatAreNoBundleAreTold() throws {
    for path in [place.appending("nowhere"), place.appending("quantized"), "\(node)/node.json"] {
      let found = fault { _ = try VerifiedPackage.open(directory: path) }
      #expect(found?.code == "package.noBundle")
      #expect(found?.exitStatus == .noInput)
    }
  }
}
