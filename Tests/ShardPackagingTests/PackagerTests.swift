import ModelArchitectures
import Quantization
import ShardPackaging
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels
import TestSupport
import Testing

@Suite struct PackagerTests {
  /// What a package hands out, put together again.
  private func planes(
    of package: VerifiedPackage, _ components: [Component], threads: Int
  ) throws -> [String: [UInt8]] {
    let collected = Mutex<[String: [Int: [UInt8]]]>([:])
    let pool = WorkerPool(threads: threads)
    try package.readComponents(components, pool: pool) { tensor, plane, offset, bytes in
      let copy = unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
      collected.withLock { $0[tensor.storageName(plane: plane), default: [:]][offset] = copy }
    }
    return collected.withLock { $0 }.mapValues { chunks in
      var bytes: [UInt8] = []
      for offset in chunks.keys.sorted() {
        #expect(offset == bytes.count)
        bytes += chunks[offset] ?? []
      }
      return bytes
    }
  }

  private func expected(_ quantized: QuantizedCheckpoint) throws -> [String: [UInt8]] {
    var planes: [String: [UInt8]] = [:]
    for tensor in quantized.tensors.values {
      for (index, layout) in tensor.planes.enumerated() {
        var bytes = [UInt8](repeating: 0, count: layout.byteCount)
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        try quantized.readPlane(tensor, plane: index, bytes: 0..<layout.byteCount, into: &raw)
        planes[tensor.storageName(plane: index)] = bytes
      }
    }
    return planes
  }

  @Test(arguments: [64, 1000, 4096, Packager.defaultChunkByteCount])
  func everyByteComesBack(chunkByteCount: Int) throws {
    let place = try TemporaryDirectory()
    let model = SmallModel(layers: 3)
    let quantized = try model.write(to: place.appending("quantized"))
    let summary = try Packager.pack(
      quantized, plan: try model.plan([2, 1]), to: place.appending("bundle"), threads: 2,
      chunkByteCount: chunkByteCount)
    #expect(summary.directory.hasSuffix("/bundle"))
    let package = try VerifiedPackage.open(directory: place.appending("bundle"))
    #expect(package.isWholeBundle)
    #expect(package.node == "node-0")
    #expect(package.nodeNames == ["node-0", "node-1"])
    #expect(package.plan == (try model.plan([2, 1])))
    #expect(package.configuration == quantized.configuration)
    #expect(package.assets["tokenizer.json"] == Array(model.tokenizer.utf8))
    #expect(package.tensors.keys.sorted() == quantized.tensors.keys.sorted())
    let want = try expected(quantized)
    for threads in [1, 3] {
      #expect(try planes(of: package, package.components, threads: threads) == want)
    }
    let report = try package.verifyAll(pool: WorkerPool(threads: 2))
    #expect(report.nodeDirectories.count == 2)
    #expect(report.storedByteCount == summary.manifest.blobs.reduce(0) { $0 + $1.byteCount })
  }

  @Test func nodesHoldTheirPartOnlyAndStandAlone() throws {
    let place = try TemporaryDirectory()
    let model = SmallModel(layers: 3)
    let quantized = try model.write(to: place.appending("quantized"))
    try Packager.pack(quantized, plan: model.plan([1, 2]), to: place.appending("bundle"))
    let elsewhere = place.appending("copied-and-renamed")
    try copyTree(place.appending("bundle/nodes/node-1"), to: elsewhere)
    let package = try VerifiedPackage.open(directory: elsewhere)
    #expect(package.node == "node-1")
    #expect(!package.isWholeBundle)
    #expect(package.components == [.block(1), .block(2), .head])
    _ = try package.verifyAll()
    let want = try expected(quantized)
    let got = try planes(of: package, package.components, threads: 2)
    #expect(got.allSatisfy { want[$0.key] == $0.value })
    #expect(got["lm_head.weight"] != nil && got["model.embed_tokens.weight"] == nil)
    #expect(
      fault { try package.readComponent(.block(0)) { _, _, _, _ in } }?.code
        == "package.blobMissing")
    let blobs = try Directory.names(in: elsewhere + "/blobs/sha256")
    #expect(blobs.count == 5)
    #expect(fault { _ = try VerifiedPackage.open(directory: elsewhere, node: "node-0") } != nil)
    let inBundle = try VerifiedPackage.open(directory: place.appending("bundle"), node: "node-1")
    #expect(inBundle.components == package.components && !inBundle.isWholeBundle)
    #expect(inBundle.bundleID == package.bundleID)
    #expect(try inBundle.verifyAll().nodeDirectories.count == 1)
    let unknown = fault {
      _ = try VerifiedPackage.open(directory: place.appending("bundle"), node: "node-7")
    }
    #expect(unknown?.exitStatus == .noInput)
  }

  @Test(arguments: [false, true])
  func tiedEmbeddingsAreStoredOnce(headFirst: Bool) throws {
    let place = try TemporaryDirectory()
    let model = SmallModel(tiesEmbeddings: true)
    let quantized = try model.write(to: place.appending("quantized"))
    let summary = try Packager.pack(
      quantized, plan: model.plan([1, 1], headFirst: headFirst), to: place.appending("bundle"))
    let head = try #require(summary.manifest.component(.head))
    #expect(head.tensors.map(\.stored.name) == ["model.norm.weight"])
    #expect(head.shared == ["model.embed_tokens.weight"])
    let last = try VerifiedPackage.open(directory: place.appending("bundle/nodes/node-1"))
    let holder = headFirst ? "node-0" : "node-1"
    let package = try VerifiedPackage.open(directory: place.appending("bundle/nodes/\(holder)"))
    #expect(
      package.tensors(of: .head).map(\.name) == ["model.norm.weight", "model.embed_tokens.weight"])
    let got = try planes(of: package, [.head], threads: 2)
    let want = try expected(quantized)
    #expect(got.allSatisfy { want[$0.key] == $0.value })
    #expect(got.keys.contains { $0.hasPrefix("model.embed_tokens.weight") })
    let embedding = try #require(summary.manifest.component(.embedding)).blob
    let names = try Directory.names(in: last.directory + "/blobs/sha256")
    #expect(names.contains(embedding.digest.hexadecimal) == !headFirst)
    _ = try package.verifyAll()
  }

  @Test func bytesDependOnNothingElse() throws {
    let first = try TemporaryDirectory()
    let second = try TemporaryDirectory()
    let model = SmallModel(layers: 4, hidden: 64)
    try model.write(to: first.appending("quantized"))
    try model.write(to: second.appending("somewhere/else"))
    for (path, place, threads) in [
      ("quantized", first, 1), ("somewhere/else", second, 2),
    ] {
      try Packager.pack(
        QuantizedCheckpoint(directory: place.appending(path)), plan: model.plan([2, 2]),
        to: place.appending("out"), threads: threads, chunkByteCount: 512)
    }
    let one = try contents(of: first.appending("out"))
    #expect(one == (try contents(of: second.appending("out"))))
    try Packager.pack(
      QuantizedCheckpoint(directory: first.appending("quantized")), plan: model.plan([2, 2]),
      to: second.appending("out"), threads: 7, chunkByteCount: 512)
    #expect(one == (try contents(of: second.appending("out"))))
  }

  @Test func planningAnewWritesNoWeightByte() throws {
    let place = try TemporaryDirectory()
    let model = SmallModel(layers: 4)
    let quantized = try model.write(to: place.appending("quantized"))
    let bundle = place.appending("bundle")
    let before = try Packager.pack(quantized, plan: model.plan([2, 2]), to: bundle).manifest
    for split in [[1, 3], [1, 2, 1], [4], [2, 2]] {
      let summary = try Packager.pack(quantized, plan: model.plan(split), to: bundle)
      let after = summary.manifest
      #expect(after.modelID == before.modelID)
      #expect((after.bundleID == before.bundleID) == (split == [2, 2]))
      #expect(summary.writtenByteCount == after.planFiles.blob.byteCount)
      #expect(after.components == before.components)
      _ = try VerifiedPackage.open(directory: bundle).verifyAll()
      let fresh = place.appending("fresh-\(split.count)-\(split[0])")
      try Packager.pack(quantized, plan: model.plan(split), to: fresh)
      #expect(try contents(of: fresh) == contents(of: bundle))
    }
  }

  @Test func damagedBlobsAreNotKept() throws {
    let place = try TemporaryDirectory()
    let model = SmallModel()
    let quantized = try model.write(to: place.appending("quantized"))
    let bundle = place.appending("bundle")
    let manifest = try Packager.pack(quantized, plan: model.plan([2]), to: bundle).manifest
    let want = try contents(of: bundle)
    let blob = manifest.components[1].blob
    let path = "\(bundle)/\(BundleFiles.blob(blob.digest))"
    var bytes = try InputFile.contents(of: path)
    bytes[bytes.count / 2] ^= 1
    try Directory.writeAtomically(bytes, to: path)
    let summary = try Packager.pack(quantized, plan: model.plan([2]), to: bundle)
    #expect(!summary.keptBlobs.contains(blob.digest))
    #expect(summary.keptBlobs.contains(manifest.components[2].blob.digest))
    #expect(try contents(of: bundle) == want)
    // A model with other weights keeps what is the same: nothing but the files.
    let other = SmallModel(seed: 2)
    let changed = try other.write(to: place.appending("other"))
    let next = try Packager.pack(changed, plan: other.plan([2]), to: bundle)
    #expect(next.keptBlobs == [manifest.modelFiles.blob.digest])
    // A manifest that cannot be read keeps nothing, and is no hindrance.
    try Directory.writeAtomically([1, 2, 3], to: "\(bundle)/manifest.json")
    #expect(try Packager.pack(quantized, plan: model.plan([2]), to: bundle).keptBlobs.isEmpty)
    #expect(try contents(of: bundle) == want)
  }

  @Test func foreignDirectoriesAreLeftAlone() throws {
    let place = try TemporaryDirectory()
    let model = SmallModel()
    let quantized = try model.write(to: place.appending("quantized"))
    let home = place.appending("home")
    try Directory.create(home)
    try Directory.writeAtomically([1], to: "\(home)/letter.txt")
    let plan = try model.plan([2])
    let refused = fault { try Packager.pack(quantized, plan: plan, to: home) }
    #expect(refused?.exitStatus == .cannotCreate)
    #expect(refused?.message.contains("letter.txt") == true)
    #expect(try Directory.names(in: home) == ["letter.txt"])
    let bundle = place.appending("bundle")
    try Directory.create(bundle)
    try Packager.pack(quantized, plan: plan, to: bundle)
    for path in ["notes.txt", "blobs/notes", "blobs/sha256/notes", "nodes/notes", "nodes/node-0/x"]
    {
      try Directory.writeAtomically([1], to: "\(bundle)/\(path)")
      #expect(
        fault { try Packager.pack(quantized, plan: plan, to: bundle) }?.code
          == "package.foreignFiles")
      try Directory.remove("\(bundle)/\(path)")
    }
    try Packager.pack(quantized, plan: plan, to: bundle + "/")
    try Directory.writeAtomically([1], to: place.appending("file"))
    #expect(
      fault { try Packager.pack(quantized, plan: plan, to: place.appending("file")) }?
        .exitStatus == .cannotCreate)
    #expect(
      fault { try Packager.pack(quantized, plan: plan, to: place.appending("file/below")) }?
        .exitStatus == .cannotCreate)
    #expect(
      fault { try Packager.pack(quantized, plan: plan, to: "/proc/bundle") }?
        .exitStatus == .cannotCreate)
    #expect(try Directory.names(in: place.path).filter { $0.hasPrefix(".") } == [])
  }

  @Test func leftoversAreCleaned() throws {
    let place = try TemporaryDirectory()
    let model = SmallModel()
    let quantized = try model.write(to: place.appending("quantized"))
    let staging = place.appending(".bundle.partial")
    try Directory.create("\(staging)/blobs/sha256")
    try Directory.writeAtomically([1], to: "\(staging)/blobs/sha256/3.partial")
    try Packager.pack(quantized, plan: model.plan([2]), to: place.appending("bundle"))
    #expect(!Directory.exists(staging))
    try Directory.create(staging)
    try Directory.writeAtomically([1], to: "\(staging)/mine.txt")
    let refused = fault {
      try Packager.pack(quantized, plan: model.plan([1, 1]), to: place.appending("bundle"))
    }
    #expect(refused?.message.contains("mine.txt") == true)
    #expect(Directory.isFile("\(staging)/mine.txt"))
    // The other way to exchange leaves the old bundle aside; it comes back.
    try Directory.remove(staging)
    try Directory.rename(place.appending("bundle"), to: staging + ".old.partial")
    let summary = try Packager.pack(
      quantized, plan: model.plan([1, 1]), to: place.appending("bundle"))
    #expect(summary.keptBlobs.count == 5)
  }

  @Test func whatDoesNotFitTogetherIsRefused() throws {
    let place = try TemporaryDirectory()
    let model = SmallModel()
    let quantized = try model.write(to: place.appending("quantized"))
    let otherPlan = try SmallModel(layers: 3).plan([3])
    let refused = fault {
      try Packager.pack(quantized, plan: otherPlan, to: place.appending("bundle"))
    }
    #expect(refused?.code == "package.otherModel")
    #expect(!Directory.exists(place.appending("bundle")))
  }
}
