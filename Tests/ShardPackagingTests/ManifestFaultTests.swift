import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Manifests that are wrong although their own digest is right.
@Suite struct ManifestFaultTests {
  private let place: TemporaryDirectory
  private let bundle: String

  init() throws {
    place = try TemporaryDirectory()
    bundle = place.appending("bundle")
    let model = SmallModel(layers: 2, tiesEmbeddings: true)
    let quantized = try model.write(to: place.appending("quantized"))
    try Packager.pack(quantized, plan: model.plan([1, 1]), to: bundle, chunkByteCount: 1024)
  }

  /// The manifest of a bundle as small as possible, whose every place is then changed.
  private func smallest() throws -> Forgery {
    let model = SmallModel(layers: 1, vocabulary: 32, tiesEmbeddings: true, schemes: ["q8", "f16"])
    let quantized = try model.write(to: place.appending("smallest-quantized"))
    try Packager.pack(quantized, plan: model.plan([1]), to: place.appending("smallest"))
    return try Forgery(place.appending("smallest"))
  }

  private func open() -> (any Fault)? {
    fault { _ = try VerifiedPackage.open(directory: bundle) }
  }

  /// Writes a changed manifest, digest right, and opens the bundle.
  private func refusal(
    identify: Bool = false, _ change: (inout JSONValue) throws -> Void
  ) throws -> String {
    var forgery = try Forgery(bundle)
    let original = try InputFile.contents(of: "\(bundle)/manifest.json")
    try change(&forgery.manifest)
    if identify { forgery.identify() }
    try forgery.write()
    let found = open()
    try Directory.writeAtomically(original, to: "\(bundle)/manifest.json")
    #expect(found == nil || found?.exitStatus == .badData)
    return found.map { "\($0.code): \($0.message)" } ?? "accepted"
  }

  @Test func forgedIdentityMatchesOurs() throws {
    #expect(try refusal(identify: true) { _ in } == "accepted")
  }

  /// At every place: a value of another kind, or nothing.
  @Test func everyWrongKindIsRefused() throws {
    let forgery = try smallest()
    let variants = forgery.manifest.variants { value in
      let others: [JSONValue] = [nil, true, 1.5, -1, "", [], [:], 9_223_372_036_854_775_807]
      return others.filter {
        $0.kindName != value.kindName || value.int != nil || value.string != nil
      }
      .filter { $0 != value }
    }
    #expect(variants.count > 1000)
    for variant in variants {
      let bytes = Forgery.seal(variant.serialized(.canonical))
      let found = fault { _ = try Manifest(file: bytes, path: "m") }
      #expect(found != nil, "accepted \(variant.serialized(.canonical).prefix(2000))")
    }
  }

  /// In every object: a member less, and one more; in every array: an element less, or twice.
  @Test func everyMissingAndExtraMemberIsRefused() throws {
    let forgery = try smallest()
    let variants = forgery.manifest.variants { value in
      var others: [JSONValue] = []
      if let object = value.object {
        for key in object.keys {
          var copy = object
          copy[key] = nil
          others.append(.object(copy))
        }
        var copy = object
        copy["surprise"] = 1
        others.append(.object(copy))
      }
      if let array = value.array {
        for index in array.indices {
          var copy = array
          copy.remove(at: index)
          others.append(.array(copy))
          others.append(.array(array + [array[index]]))
        }
      }
      return others
    }
    #expect(variants.count > 500)
    for variant in variants {
      let bytes = Forgery.seal(variant.serialized(.canonical))
      let found = fault { _ = try Manifest(file: bytes, path: "m") }
      #expect(found != nil, "accepted \(variant.serialized(.canonical).prefix(2000))")
    }
  }

  /// Every string exchanged for another of its form, every number moved by one.
  @Test func everySmallChangeIsRefused() throws {
    let forgery = try smallest()
    let path = "\(forgery.directory)/manifest.json"
    let original = try InputFile.contents(of: path)
    let other = Digest(of: [1]).description
    let variants = forgery.manifest.variants { value in
      if let number = value.int { return [JSONValue(number + 1), JSONValue(number - 1)] }
      guard let string = value.string, !string.hasPrefix("zstd 1") else { return [] }
      return string.hasPrefix("sha256:") ? [.string(other)] : [.string(string + "x")]
    }
    #expect(variants.count > 200)
    var blobDigests = 0
    // What packers claim without proof, only a signature covers.
    for variant in variants where !variant.differsInClaimsOnly(from: forgery.manifest) {
      let bytes = Forgery.seal(variant.serialized(.canonical))
      guard fault({ _ = try Manifest(file: bytes, path: "m") }) == nil else { continue }
      // Digests of stored bytes and of blobs are free: blobs are compared with them.
      try Directory.writeAtomically(bytes, to: path)
      let found = fault {
        _ = try VerifiedPackage.open(directory: forgery.directory).verifyAll()
      }
      try Directory.writeAtomically(original, to: path)
      #expect(found != nil, "accepted \(variant.serialized(.canonical).prefix(2000))")
      blobDigests += 1
    }
    #expect(blobDigests > 5)
  }

  @Test func versionsAreTold() throws {
    #expect(
      try refusal { $0["schema"] = "shardtool.bundle/1" }.contains(
        "in version 1 of the format, this program reads version 3; quantize and pack again"))
    #expect(
      try refusal { $0["schema"] = "shardtool.bundle/2" }.contains(
        "in version 2 of the format, this program reads version 3; pack again"))
    #expect(
      try refusal { $0["schema"] = "shardtool.bundle/4" }.contains("use a newer shardtool"))
    #expect(try refusal { $0["schema"] = "shardtool.bundle/x" }.contains("give a bundle"))
    #expect(try refusal { $0["schema"] = "something/1" }.contains("package.version"))
    #expect(try refusal { $0["schema"] = 1 }.contains("instead of a string"))
  }

  @Test func coverageIsProven() throws {
    func nodes(_ lists: [[String]], names: [String] = ["a", "b", "c"]) -> JSONValue {
      .array(
        zip(lists, names).map { list, name in
          ["name": .string(name), "components": .array(list.map { .string($0) })]
        })
    }
    let whole = ["embedding", "block-0", "block-1", "head"]
    let cases: [(String, JSONValue)] = [
      ("block-1 to no node", nodes([["embedding", "block-0"], ["head"]])),
      ("to a and to b", nodes([whole, ["block-1"]])),
      ("out of order", nodes([["embedding", "block-1", "block-0", "head"]])),
      ("does not list", nodes([whole, ["block-2"]])),
      ("unknown component", nodes([["embedding", "block-00"]])),
      ("unknown component", nodes([["../embedding"]])),
      ("two nodes named", nodes([whole, []], names: ["a", "A"])),
      ("unusable name", nodes([whole], names: ["../a"])),
      ("unusable name", nodes([whole], names: [".a"])),
      ("unusable name", nodes([whole], names: [""])),
      ("to no node", nodes([])),
      // Right in itself, but not what the plan says.
      ("other components than its plan", nodes([whole])),
    ]
    for (expected, value) in cases {
      let found = try refusal(identify: true) { $0["nodes"] = value }
      #expect(found.contains(expected), "\(found)")
    }
  }

  @Test func componentsAreProven() throws {
    func change(_ body: (inout [JSONValue]) -> Void) throws -> String {
      try refusal(identify: true) { manifest in
        var list = manifest["components"]?.array ?? []
        body(&list)
        manifest["components"] = .array(list)
      }
    }
    #expect(try change { $0.swapAt(1, 2) }.contains("each block once"))
    #expect(try change { $0.remove(at: 1) }.contains("each block once"))
    #expect(try change { $0.append($0[3]) }.contains("each block once"))
    #expect(try change { $0[3]["name"] = "tail" }.contains("names no component"))
    #expect(try change { $0[3]["shared"] = ["nothing"] }.contains("which no other component has"))
    #expect(
      try change { $0[0]["shared"] = ["model.embed_tokens.weight"] }.contains("no other component"))
    #expect(
      try change { $0[3]["shared"] = ["model.embed_tokens.weight", "model.embed_tokens.weight"] }
        .contains("twice"))
    #expect(try change { $0[3]["shared"] = [] }.contains("package.tensors"))
    #expect(try change { $0[2] = $0[1].renamed("block-1") }.contains("has the tensor"))
    // The right form, but another model than config.json describes.
    #expect(
      try change { list in
        var tensors = list[3]["tensors"]?.array ?? []
        tensors[0]["name"] = "model.other.weight"
        list[3]["tensors"] = .array(tensors)
      }.contains("package.tensors"))
    #expect(
      try change { list in
        var tensors = list[3]["tensors"]?.array ?? []
        tensors[0]["name"] = "bad\u{7}name"
        list[3]["tensors"] = .array(tensors)
      }.contains("unusable name"))
  }

  @Test func filesAreProven() throws {
    func change(_ set: String, _ body: (inout [JSONValue]) -> Void) throws -> String {
      try refusal(identify: true) { manifest in
        var files = manifest[set]?["files"]?.array ?? []
        body(&files)
        manifest[set] = ["blob": manifest[set]?["blob"] ?? .null, "files": .array(files)]
      }
    }
    #expect(try change("model") { $0[1]["name"] = "../tokenizer.json" }.contains("unusable name"))
    #expect(try change("model") { $0[1]["name"] = "a/b" }.contains("unusable name"))
    #expect(try change("model") { $0[1]["name"] = "config.json" }.contains("not sorted"))
    #expect(try change("model") { $0[0]["name"] = "configs.json" }.contains("no config.json"))
    #expect(try change("plan") { $0[0]["name"] = "other.json" }.contains("as its plan"))
    #expect(
      try change("model") { files in
        files[0]["chunks"] = .array(
          (files[0]["chunks"]?.array ?? []).map { $0.with("codec", "zstd+split2") })
      }.contains("codec for numbers"))
  }

  @Test func sharedBlobsHaveOneLength() throws {
    let found = try refusal(identify: true) { manifest in
      var plan = manifest["plan"]?["files"]?.array?[0]["chunks"]?.array?[0] ?? .null
      plan["stored_bytes"] = plan["raw_bytes"]
      plan["codec"] = "raw"
      plan["stored_digest"] = plan["raw_digest"]
      manifest["plan"] = [
        "blob": [
          "digest": manifest["model"]?["blob"]?["digest"] ?? .null,
          "bytes": plan["raw_bytes"] ?? .null,
        ],
        "files": [["name": "plan.json", "bytes": plan["raw_bytes"] ?? .null, "chunks": [plan]]],
      ]
    }
    #expect(found.contains("chunks instead of") || found.contains("two lengths"), "\(found)")
  }

  /// Bytes that are no canonical manifest, each behind its right digest.
  @Test func onlyOneTextIsRight() throws {
    let text = try Forgery(bundle).manifest.serialized(.canonical)
    let texts = [
      " " + text, text + " ", text.replacing("\"schema\":", with: "\"schema\": "),
      text.replacing("\"schema\"", with: "\"\\u0073chema\""),
      text.replacing("\"nodes\"", with: "\"nodes\":[],\"nodes\""),
      text.replacing("\"chunk_bytes\":1024", with: "\"chunk_bytes\":1024.0"),
      text.replacing("\"chunk_bytes\":1024", with: "\"chunk_bytes\":1.024e3"),
      String(text.dropLast()), text + "}", "[]", "null", "", "\"\"", "{}",
      String(repeating: "[", count: 100_000), "\u{FEFF}" + text,
      text.replacing("\"bundle_id\"", with: "\"zbundle_id\""),
    ]
    for text in texts {
      let found = fault { _ = try Manifest(file: Forgery.seal(text), path: "m") }
      #expect(found != nil, "accepted \(text.prefix(100))")
    }
    let invalid = Array("{\"a\":\"".utf8) + [0xFF] + Array("\"}".utf8)
    let head = Array("{\"digest\":\"\(Digest(of: invalid))\",\"manifest\":".utf8)
    #expect(
      fault { _ = try Manifest(file: head + invalid + Array("}\n".utf8), path: "m") }?.code
        == "package.notJSON")
    #expect(
      fault { _ = try Manifest(file: Forgery.seal(text, name: "node"), path: "m") }?.code
        == "package.notAManifest")
    let huge = [UInt8](repeating: 0x20, count: ManifestLimits.manifestByteCount + 1)
    #expect(fault { _ = try Manifest(file: huge, path: "m") }?.code == "package.tooLarge")
  }

  @Test func nodeDescriptorsAreStrict() throws {
    let path = "\(bundle)/nodes/node-1/node.json"
    let bytes = try InputFile.contents(of: path)
    let json = try JSONParsing().parse(bytes)["node"] ?? .null
    #expect(try NodeDescriptor(file: bytes, path: path).node == "node-1")
    let variants =
      json.variants { value in
        if let object = value.object {
          return [.object(object.merging("surprise", 1))]
            + object.keys.map { key in
              var copy = object
              copy[key] = nil
              return .object(copy)
            }
        }
        return [1, nil, "other", "node-2"]
      }
    for variant in variants where variant["name"]?.string == nil || variant.object?.count != 3 {
      let text = variant.serialized(.canonical)
      #expect(
        fault { _ = try NodeDescriptor(file: Forgery.seal(text, name: "node"), path: "n") } != nil,
        "accepted \(text)")
    }
    for (name, code) in [("node-9", "package.unknownNode"), ("node-0", "package.blobMissing")] {
      var other = json
      other["name"] = .string(name)
      try Directory.writeAtomically(
        Forgery.seal(other.serialized(.canonical), name: "node"), to: path)
      #expect(
        fault { _ = try VerifiedPackage.open(directory: "\(bundle)/nodes/node-1") }?.code == code)
    }
    var foreign = json
    foreign["bundle_id"] = .string(Digest(of: [1]).description)
    try Directory.writeAtomically(
      Forgery.seal(foreign.serialized(.canonical), name: "node"), to: path)
    #expect(
      fault { _ = try VerifiedPackage.open(directory: "\(bundle)/nodes/node-1") }?.code
        == "package.mixedBundles")
    let whole = fault { _ = try VerifiedPackage.open(directory: bundle).verifyAll() }
    #expect(whole?.code == "package.mixedBundles")
  }
}

extension JSONValue {
  fileprivate func differsInClaimsOnly(from other: JSONValue) -> Bool {
    var copy = self
    for claim in ["name", "sequence", "provenance"] { copy[claim] = other[claim] }
    return copy == other
  }

  fileprivate func renamed(_ name: String) -> JSONValue { with("name", .string(name)) }

  fileprivate func with(_ key: String, _ value: JSONValue) -> JSONValue {
    var copy = self
    copy[key] = value
    return copy
  }
}

extension JSONObject {
  fileprivate func merging(_ key: String, _ value: JSONValue) -> JSONObject {
    var copy = self
    copy[key] = value
    return copy
  }
}
