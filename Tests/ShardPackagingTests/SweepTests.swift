import ShardPackaging
import TensorCore
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// `shardtool gc`: what it removes, and above all what it does not.
@Suite struct SweepTests {
  private let place: TemporaryDirectory
  private let bundle: String
  private let model = SmallModel(layers: 3, tokenizer: SmallModel.soundTokenizer)

  init() throws {
    place = try TemporaryDirectory()
    bundle = place.appending("bundle")
    let quantized = try model.write(to: place.appending("quantized"))
    try Packager.pack(quantized, plan: model.plan([2, 1]), to: bundle)
  }

  private func write(_ path: String, _ bytes: [UInt8] = [1, 2, 3]) throws {
    try Directory.create(Directory.parent(of: place.appending(path)))
    try Directory.writeAtomically(bytes, to: place.appending(path))
  }

  private let strange = String(repeating: "ab", count: 32)

  @Test func aCleanBundleLosesNothing() throws {
    let before = try contents(of: bundle)
    for path in [place.path, bundle, "\(bundle)/nodes/node-1"] {
      let report = try StoreSweep.run(path)
      #expect(report.removals.isEmpty && report.leftAlone.isEmpty && report.busy.isEmpty)
      #expect(report.freedByteCount == 0)
    }
    #expect(try contents(of: bundle) == before)
  }

  @Test func unusedBlobsAndLeftoversGo() throws {
    let before = try contents(of: bundle)
    try write("bundle/blobs/sha256/\(strange)")
    try write("bundle/blobs/sha256/7.partial")
    try write("bundle/nodes/node-0/blobs/sha256/\(strange)", [1, 2, 3, 4])
    // A blob of the other node does not belong into a node's directory.
    let other = try Directory.names(in: "\(bundle)/nodes/node-0/blobs/sha256")
      .first { !Directory.isFile("\(bundle)/nodes/node-1/blobs/sha256/\($0)") && $0 != strange }
    let blob = try #require(other)
    try Directory.link(
      "\(bundle)/blobs/sha256/\(blob)", to: "\(bundle)/nodes/node-1/blobs/sha256/\(blob)")
    try write(".bundle.partial/blobs/sha256/0.partial", [1])
    try write(".gone.partial/blobs/sha256/\(strange).partial", [1, 2])
    let inner = "\(place.path)/.gone.partial/nodes/node-0/blobs/sha256"
    try Directory.create(inner)
    try Directory.link(
      "\(place.path)/.gone.partial/blobs/sha256/\(strange).partial",
      to: "\(inner)/\(strange).partial")
    let all = try contents(of: place.path)
    let promise = try StoreSweep.run(place.path, isDryRun: true)
    #expect(try contents(of: place.path) == all)
    let report = try StoreSweep.run(place.path)
    #expect(report.removals.map(\.path) == promise.removals.map(\.path))
    #expect(report.freedByteCount == promise.freedByteCount)
    #expect(report.freedByteCount == 3 + 3 + 4 + 1 + 2)
    #expect(report.removals.count == 6)
    #expect(report.removals.filter { $0.reason == .unusedBlob }.count == 3)
    #expect(try contents(of: bundle) == before)
    #expect(try Directory.names(in: place.path) == ["bundle", "quantized"])
    _ = try VerifiedPackage.open(directory: bundle).verifyAll()
  }

  @Test func whatIsNotOursStays() throws {
    try write("bundle/blobs/sha256/notes.txt")
    try write("bundle/nodes/visitor/letter.txt")
    try write(".bundle.partial/letter.txt")
    try write(".quantized.partial/progress.json")
    let before = try contents(of: place.path)
    let report = try StoreSweep.run(place.path)
    #expect(report.removals.isEmpty)
    #expect(report.leftAlone.count == 4)
    #expect(try contents(of: place.path) == before)
    #expect(fault { _ = try StoreSweep.run(place.appending("quantized")) }?.exitStatus == .noInput)
    #expect(fault { _ = try StoreSweep.run(place.appending("nowhere")) }?.exitStatus == .noInput)
  }

  /// Whoever cannot tell what a bundle needs must not remove any of it.
  @Test func damagedBundlesAreLeftAlone() throws {
    try write("bundle/blobs/sha256/\(strange)")
    let path = "\(bundle)/manifest.json"
    var bytes = try InputFile.contents(of: path)
    bytes[bytes.count / 2] ^= 1
    try Directory.writeAtomically(bytes, to: path)
    let before = try contents(of: bundle)
    #expect(fault { _ = try StoreSweep.run(bundle) }?.exitStatus == .badData)
    let report = try StoreSweep.run(place.path)
    #expect(report.removals.isEmpty && report.leftAlone.count == 1)
    #expect(try contents(of: bundle) == before)
  }

  @Test func whatSomebodyWritesIsLeftAlone() throws {
    try write("bundle/blobs/sha256/\(strange)")
    try write(".bundle.partial/blobs/sha256/0.partial")
    let before = try contents(of: place.path)
    // A pack that runs needs what stands in staging, and what the old bundle uses.
    for (locked, removed) in [(".bundle.partial", 0), ("bundle", 1)] {
      let descriptor = unsafe open(place.appending(locked), O_RDONLY)
      #expect(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
      let report = try StoreSweep.run(place.path)
      #expect(report.busy == [bundle])
      #expect(report.removals.count == removed, "\(report.text)")
      close(descriptor)
    }
    #expect(try contents(of: place.path).count == before.count - 1)
  }

  /// Blobs behind a link belong to somebody else.
  @Test func linksInsideABundleAreNotFollowed() throws {
    let shared = place.appending("shared")
    try write("shared/sha256/\(strange)")
    for path in ["blobs", "nodes/node-0/blobs/sha256", "nodes/node-1"] {
      let copy = place.appending("store/copy")
      try copyTree(bundle, to: copy)
      try Directory.remove("\(copy)/\(path)")
      let other = path.hasSuffix("sha256") ? "\(shared)/sha256" : shared
      try #require(unsafe symlink(other, "\(copy)/\(path)") == 0)
      let report = try StoreSweep.run(copy)
      #expect(report.removals.isEmpty && report.leftAlone.count == 1, "\(report.text)")
      #expect(report.leftAlone.first?.reason.contains("link") == true, "\(path)")
      #expect(Directory.isFile("\(shared)/sha256/\(strange)"))
      try Directory.remove(copy)
    }
  }

  @Test func linksToBundlesAreFollowed() throws {
    try write("bundle/blobs/sha256/\(strange)")
    try write("elsewhere/blobs/sha256/0.partial")
    try Directory.create(place.appending("store"))
    for (name, target) in [("a", "../bundle"), ("b", "../bundle"), (".a.partial", "../elsewhere")] {
      try #require(unsafe symlink(target, place.appending("store/\(name)")) == 0)
    }
    let report = try StoreSweep.run(place.appending("store"))
    #expect(report.removals.map(\.path) == ["\(bundle)/blobs/sha256/\(strange)"])
    #expect(report.leftAlone.map(\.path) == [place.appending("store/.a.partial")])
    #expect(Directory.isFile(place.appending("elsewhere/blobs/sha256/0.partial")))
  }

  /// A killed import looks like a bundle.
  @Test func whatKilledImportsHaveLeftGoes() throws {
    let left = place.appending("new.7.partial")
    try copyTree(bundle, to: left)
    try write("new.8.partial/letter.txt")
    try write("new.nine.partial/blobs/sha256/\(strange)")
    let descriptor = unsafe open(left, O_RDONLY)
    #expect(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
    let busy = try StoreSweep.run(place.path)
    #expect(busy.busy == [place.appending("new")] && busy.removals.isEmpty)
    close(descriptor)
    let promise = try StoreSweep.run(place.path, isDryRun: true)
    #expect(Directory.exists(left))
    let report = try StoreSweep.run(place.path)
    #expect(report.removals.map(\.path) == [left] && promise.removals.map(\.path) == [left])
    #expect(report.freedByteCount == promise.freedByteCount)
    #expect(report.leftAlone.map(\.path) == [place.appending("new.8.partial")])
    #expect(!Directory.exists(left) && Directory.exists(place.appending("new.nine.partial")))
  }

  @Test func anOldBundleThatWaitsAsideComesBack() throws {
    let before = try contents(of: bundle)
    try Directory.rename(bundle, to: place.appending(".bundle.partial.old.partial"))
    #expect(try StoreSweep.run(bundle, isDryRun: true).restored == [bundle])
    #expect(!Directory.exists(bundle))
    #expect(try StoreSweep.run(bundle).restored == [bundle])
    #expect(try contents(of: bundle) == before)
  }
}
