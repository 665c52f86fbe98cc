import Foundation
import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Bundles as OCI image layouts, and back.
@Suite struct ImageTests {
  private let place: TemporaryDirectory
  private let bundle: String
  private let layout: String
  private let summary: ImageExport.Summary

  init() throws {
    place = try TemporaryDirectory()
    bundle = place.appending("bundle")
    layout = place.appending("layout")
    let model = SmallModel(layers: 2, hidden: 8, vocabulary: 8)
    let quantized = try model.write(to: place.appending("quantized"))
    _ = try Packager.pack(quantized, plan: model.plan([1, 1]), to: bundle, chunkByteCount: 64)
    summary = try ImageExport.export(bundle, node: nil, to: layout)
  }

  /// Path and bytes of every file below a directory.
  private func tree(_ directory: String, _ folder: String = "") throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in try Directory.names(in: directory) {
      let path = "\(directory)/\(name)"
      if Directory.exists(path) {
        files.merge(try tree(path, "\(folder)\(name)/")) { $1 }
      } else {
        files["\(folder)\(name)"] = try InputFile.contents(of: path)
      }
    }
    return files
  }

  @Test func everyBlobHasItsDigestAsName() throws {
    let files = try tree(layout)
    #expect(files["oci-layout"] == Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
    let blobs = files.filter { $0.key.hasPrefix("blobs/") }
    #expect(blobs.count == summary.blobCount)
    #expect(files.count == blobs.count + 2)
    for (path, bytes) in blobs {
      #expect(path == "blobs/sha256/\(Digest(of: bytes).hexadecimal)")
    }
    #expect(blobs.values.reduce(0) { $0 + $1.count } == summary.byteCount)
  }

  /// What registries are promised: schema version, a configuration, layers with type, digest, size.
  @Test func imagesHaveTheStandardsForm() throws {
    let forgery = ImageForgery(directory: layout)
    let index = try forgery.read(forgery.indexPath)
    #expect(index["schemaVersion"]?.int == 2)
    let images = index["manifests"]?.array ?? []
    #expect(images.count == 2)
    for (image, expected) in zip(images, summary.images) {
      #expect(image["digest"]?.string == expected.digest.description)
      let manifest = try forgery.read(forgery.blobPath(expected.digest.description))
      #expect(manifest["schemaVersion"]?.int == 2)
      #expect(manifest["artifactType"]?.string == "application/vnd.shardtool.bundle.node.v1")
      for part in [manifest["config"]].compactMap(\.self) + (manifest["layers"]?.array ?? []) {
        let path = forgery.blobPath(part["digest"]?.string ?? "")
        #expect(try InputFile(path: path).byteCount == part["size"]?.int)
        #expect(part["mediaType"]?.string != nil)
      }
    }
  }

  @Test func theWholeBundleComesBackByteByByte() throws {
    let back = place.appending("back")
    let summary = try ImageImport.restore(layout, node: nil, to: back)
    #expect(summary.nodes == ["node-0", "node-1"])
    #expect(try tree(back) == tree(bundle))
    _ = try VerifiedPackage.open(directory: back).verifyAll()
  }

  @Test func oneNodeComesBackByteByByte() throws {
    let back = place.appending("back")
    _ = try ImageImport.restore(layout, node: "node-1", to: back)
    #expect(try tree(back) == tree("\(bundle)/nodes/node-1"))
    #expect(try VerifiedPackage.open(directory: back).node == "node-1")
  }

  @Test func aNodesDirectoryIsExportedAlone() throws {
    let node = place.appending("node")
    try copyTree("\(bundle)/nodes/node-1", to: node)
    let own = try ImageExport.export(node, node: nil, to: place.appending("own"))
    #expect(own.images.map(\.digest) == [summary.images[1].digest])
    let back = place.appending("back")
    _ = try ImageImport.restore(place.appending("own"), node: nil, to: back)
    #expect(try tree(back) == tree(node))
  }

  /// The digests are those of the content alone: exporting again, from a bundle without its nodes'
  /// directories, gives the same.
  @Test func theSameBundleGivesTheSameDigests() throws {
    let copy = place.appending("copy")
    try copyTree(bundle, to: copy)
    try Directory.remove("\(copy)/nodes/node-0")
    let again = try ImageExport.export(copy, node: nil, to: place.appending("again"))
    #expect(again.images.map(\.digest) == summary.images.map(\.digest))
    #expect(try tree(place.appending("again")) == tree(layout))
  }

  @Test func whatIsThereIsNotReplaced() throws {
    let before = try tree(layout)
    let found = fault { _ = try ImageExport.export(bundle, node: nil, to: layout) }
    #expect(found?.code == "file.notPermitted")
    #expect(found?.exitStatus == .cannotCreate)
    #expect(fault { _ = try ImageImport.restore(layout, node: nil, to: bundle) }?.code != nil)
    #expect(try tree(layout) == before)
    try Directory.create(place.appending("empty"))
    _ = try ImageExport.export(bundle, node: nil, to: place.appending("empty"))
    #expect(try tree(place.appending("empty")) == before)
  }

  /// What a killed export has left is removed by the next; what is not from one is not.
  @Test func leftoversAreRemoved() throws {
    let (left, foreign) = (place.appending("new.7.partial"), place.appending("new.8.partial"))
    try Directory.create("\(left)/blobs/sha256")
    try Directory.writeAtomically([1], to: "\(left)/blobs/sha256/x")
    try Directory.create("\(foreign)/letters")
    _ = try ImageExport.export(bundle, node: nil, to: place.appending("new"))
    #expect(!Directory.exists(left))
    #expect(Directory.exists("\(foreign)/letters"))
    #expect(try tree(place.appending("new")) == tree(layout))
  }

  @Test func aDamagedBundleIsNotExported() throws {
    let copy = place.appending("copy")
    try copyTree("\(bundle)/nodes/node-0", to: copy)
    let blobs = try Directory.names(in: "\(copy)/blobs/sha256")
    let path = "\(copy)/blobs/sha256/\(blobs[0])"
    var bytes = try InputFile.contents(of: path)
    bytes[bytes.count / 2] ^= 1
    try Directory.writeAtomically(bytes, to: path)
    let target = place.appending("never")
    #expect(fault { _ = try ImageExport.export(copy, node: nil, to: target) }?.code != nil)
    #expect(!Directory.exists(target))
  }

  private typealias Attack = (
    name: String, code: String, change: @Sendable (ImageForgery) throws -> Void
  )

  private static let attacks: [Attack] = [
    ("no marker", "package.noImageLayout", { try Directory.remove("\($0.directory)/oci-layout") }),
    (
      "other layout version", "package.imageLayout",
      {
        try $0.write(["imageLayoutVersion": "2.0.0"], to: "\($0.directory)/oci-layout")
      }
    ),
    (
      "index is no JSON", "package.imageLayout",
      {
        try Directory.writeAtomically([0x7B], to: $0.indexPath)
      }
    ),
    ("index lists nothing", "package.imageLayout", { try $0.changeIndex { $0["manifests"] = [] } }),
    (
      "digest leads elsewhere", "package.imageLayout",
      {
        try $0.changeIndex { index in
          var image = index["manifests"]?.array?.first ?? .null
          image["digest"] = "sha256:../../../../etc/passwd"
          index["manifests"] = [image]
        }
      }
    ),
    (
      "index within the index", "package.imageLayout",
      { forgery in
        let index = try InputFile.contents(of: forgery.indexPath)
        let entry = try forgery.put(index, type: "application/vnd.oci.image.index.v1+json")
        try forgery.changeIndex { $0["manifests"] = [entry] }
      }
    ),
    (
      "image of something else", "package.imageLayout",
      { forgery in
        let entry = try forgery.put(Array(#"{"schemaVersion":2,"layers":[]}"#.utf8))
        try forgery.changeIndex { $0["manifests"] = [entry] }
      }
    ),
    (
      "image without titles", "package.imageLayout",
      {
        try $0.changeLayers { $0[0]["annotations"] = .null }
      }
    ),
    (
      "title leads out", "package.imageLayout",
      {
        try $0.changeLayers { $0[0] = ImageForgery.titled($0[0], "../../escaped") }
      }
    ),
    (
      "absolute title", "package.imageLayout",
      {
        try $0.changeLayers { $0[0] = ImageForgery.titled($0[0], "/tmp/escaped") }
      }
    ),
    (
      "unknown file", "package.imageLayout",
      {
        try $0.changeLayers { $0[0] = ImageForgery.titled($0[0], "run.sh") }
      }
    ),
    (
      "blob under another digest", "package.imageLayout",
      {
        try $0.changeLayers { layers in
          let last = layers.count - 1
          layers[last] = ImageForgery.titled(layers[last], ImageForgery.title(layers[last - 1]))
        }
      }
    ),
    ("a file twice", "package.imageLayout", { try $0.changeLayers { $0.append($0[0]) } }),
    (
      "no manifest.json", "package.imageLayout",
      {
        try $0.changeLayers { $0.removeAll { ImageForgery.title($0) == "manifest.json" } }
      }
    ),
    (
      "manifest.json too long", "package.imageLayout",
      {
        try $0.changeLayers { $0[0]["size"] = JSONValue(1 << 40) }
      }
    ),
    ("a blob left out", "package.imageLayout", { try $0.changeLayers { _ = $0.removeLast() } }),
    (
      "a blob too many", "package.imageLayout",
      { forgery in
        let bytes: [UInt8] = [1, 2, 3]
        let layer = try forgery.put(bytes, type: "application/octet-stream")
        let name = "blobs/sha256/\(Digest(of: bytes).hexadecimal)"
        try forgery.changeLayers { $0.append(ImageForgery.titled(layer, name)) }
      }
    ),
    (
      "blob missing", "package.imageLayout",
      { forgery in
        try forgery.changeLayers {
          try Directory.remove(forgery.blobPath($0.last?["digest"]?.string ?? ""))
        }
      }
    ),
    (
      "blob cut", "package.imageLayout",
      { forgery in
        try forgery.changeLayers { layers in
          let path = forgery.blobPath(layers.last?["digest"]?.string ?? "")
          try Directory.writeAtomically(
            Array(try InputFile.contents(of: path).dropLast()), to: path)
        }
      }
    ),
    (
      "blob damaged", "package.digestMismatch",
      { forgery in
        try forgery.changeLayers { layers in
          let path = forgery.blobPath(layers.last?["digest"]?.string ?? "")
          var bytes = try InputFile.contents(of: path)
          bytes[0] ^= 1
          try Directory.writeAtomically(bytes, to: path)
        }
      }
    ),
    (
      "image manifest damaged", "package.imageLayout",
      { forgery in
        let digest =
          try forgery.read(forgery.indexPath)["manifests"]?.array?[0]["digest"]?.string ?? ""
        var bytes = try InputFile.contents(of: forgery.blobPath(digest))
        bytes[bytes.count / 2] ^= 1
        try Directory.writeAtomically(bytes, to: forgery.blobPath(digest))
      }
    ),
  ]

  @Test(arguments: attacks.indices)
  func hostileLayoutsLeaveNothing(number: Int) throws {
    let attack = Self.attacks[number]
    let forgery = ImageForgery(directory: place.appending("forged"))
    try copyTree(layout, to: forgery.directory)
    try attack.change(forgery)
    for node in [nil, "node-0"] as [String?] {
      let target = place.appending("target")
      let found = fault { _ = try ImageImport.restore(forgery.directory, node: node, to: target) }
      #expect(
        found?.code == attack.code, "\(attack.name), \(node ?? "all"): \(found?.message ?? "-")")
      #expect(!Directory.exists(target))
      #expect(try Directory.names(in: place.path).allSatisfy { !$0.hasSuffix(".partial") })
    }
    #expect(!Directory.isFile(place.appending("escaped")))
  }

  /// A small index must not make import read much: a manifest counts once, and all together are
  /// limited.
  @Test func manyManifestsAreLimited() throws {
    let forgery = ImageForgery(directory: layout)
    let images = try forgery.read(forgery.indexPath)["manifests"]?.array ?? []
    let bytes = try InputFile.contents(of: forgery.blobPath(images[0]["digest"]?.string ?? ""))
    let padded = try (0..<9).map { number in
      try forgery.put(bytes + [UInt8](repeating: 0x20, count: (4 << 20) - bytes.count - number))
    }
    try forgery.changeIndex {
      $0["manifests"] = .array(Array(repeating: padded[0], count: 1000) + images)
    }
    let target = place.appending("target")
    _ = try ImageImport.restore(layout, node: "node-1", to: target)
    #expect(try tree(target) == tree("\(bundle)/nodes/node-1"))
    try forgery.changeIndex { $0["manifests"] = .array(padded + images) }
    let found = fault {
      _ = try ImageImport.restore(layout, node: "node-1", to: place.appending("never"))
    }
    #expect(found?.code == "package.imageLayout")
    #expect(found?.message.contains("in all") == true, "\(found?.message ?? "")")
  }

  /// The files of one node under the name of another.
  @Test func anotherNodesName() throws {
    let forgery = ImageForgery(directory: layout)
    let images = try forgery.read(forgery.indexPath)["manifests"]?.array ?? []
    let second = try forgery.read(forgery.blobPath(images[1]["digest"]?.string ?? ""))
    let name = second["layers"]?.array?.first { ImageForgery.title($0) == "node.json" }
    try forgery.changeLayers { own in
      own = own.map { ImageForgery.title($0) == "node.json" ? name ?? .null : $0 }
    }
    try forgery.changeIndex { index in
      index["manifests"] = .array(Array((index["manifests"]?.array ?? []).prefix(1)))
    }
    let target = place.appending("target")
    let found = fault { _ = try ImageImport.restore(layout, node: nil, to: target) }
    #expect(found?.code == "package.imageLayout")
    #expect(!Directory.exists(target))
  }

  @Test func nodesThatAreNotThere() throws {
    let target = place.appending("target")
    let unknown = fault { _ = try ImageImport.restore(layout, node: "node-9", to: target) }
    #expect(unknown?.code == "package.unknownNode")
    #expect(unknown?.exitStatus == .noInput)
    let model = SmallModel(layers: 3, hidden: 8, vocabulary: 8)
    let quantized = try model.write(to: place.appending("other"))
    let other = place.appending("other-bundle")
    _ = try Packager.pack(quantized, plan: model.plan([1, 1, 1]), to: other, chunkByteCount: 64)
    let whole = place.appending("other-layout")
    _ = try ImageExport.export(other, node: nil, to: whole)
    try ImageForgery(directory: whole).changeIndex { index in
      index["manifests"] = .array(Array((index["manifests"]?.array ?? []).dropLast()))
    }
    let part = fault { _ = try ImageImport.restore(whole, node: nil, to: target) }
    #expect(part?.code == "package.imageMissing")
    #expect(part?.message.contains("node-2") == true)
    let strangers = try ImageForgery(directory: layout).read("\(layout)/index.json")
    try ImageForgery(directory: whole).changeIndex { index in
      index["manifests"] = .array(
        (index["manifests"]?.array ?? []) + (strangers["manifests"]?.array?.suffix(1) ?? []))
    }
    for name in try Directory.names(in: "\(layout)/blobs/sha256") {
      try Directory.link("\(layout)/blobs/sha256/\(name)", to: "\(whole)/blobs/sha256/\(name)")
    }
    let mixed = fault { _ = try ImageImport.restore(whole, node: nil, to: target) }
    #expect(mixed?.code == "package.mixedBundles")
    #expect(!Directory.exists(target))
  }

  private func fault(_ body: () throws -> Void) -> (any Fault)? {
    do {
      try body()
      return nil
    } catch { return error as? any Fault }
  }
}
