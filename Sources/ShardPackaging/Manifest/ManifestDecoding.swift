import ModelArchitectures
import Quantization
import StrictJSON

extension Manifest {
  /// Reads manifest.json and proves everything that it alone can prove: form, digests of the
  /// right form, chunks that fill planes exactly, blobs that their chunks fill exactly, every
  /// component once and on one node, identities.
  ///
  /// - Parameter path: for faults.
  public init(file bytes: [UInt8], path: String) throws(PackageFault) {
    guard bytes.count <= ManifestLimits.manifestByteCount else {
      throw PackageFault(
        "tooLarge",
        "\(path) has \(bytes.count) bytes, more than the \(ManifestLimits.manifestByteCount) a "
          + "manifest may have", context: ["file": path])
    }
    let envelope = try Envelope.open(bytes, name: Self.envelopeName, path: path)
    var root = StrictObject(envelope.content, place: "\(path): manifest")
    try Self.checkSchema(try root.string("schema"), path: path)
    let chunkByteCount = try root.integer(
      "chunk_bytes", in: 1...ManifestLimits.chunkByteCount)
    var components: [ManifestComponent] = []
    for object in try root.objects("components") {
      components.append(try ManifestComponent(object, chunkByteCount: chunkByteCount))
    }
    name = try root.string("name")
    guard ManifestLimits.isPlainName(name) else {
      throw StrictObject.fault("is no plain name", "\(root.place).name")
    }
    sequence = try root.integer("sequence", in: ManifestLimits.sequence)
    provenance = try Provenance(try root.object("provenance"))
    modelID = try root.digest("model_id")
    bundleID = try root.digest("bundle_id")
    compressor = try root.string("compressor")
    guard ManifestLimits.isTensorName(compressor) else {
      throw StrictObject.fault("is empty, too long or no plain text", "\(root.place).compressor")
    }
    modelFiles = try ManifestFileSet(try root.object("model"), chunkByteCount: chunkByteCount)
    planFiles = try ManifestFileSet(try root.object("plan"), chunkByteCount: chunkByteCount)
    var nodes: [ManifestNode] = []
    for object in try root.objects("nodes") { nodes.append(try ManifestNode(object)) }
    try root.finish()
    self.chunkByteCount = chunkByteCount
    self.components = components
    self.nodes = nodes
    try checkComponents(path: path)
    try checkNodes(path: path)
    try checkFiles(path: path)
    try checkIdentities(path: path)
  }

  private static func checkSchema(_ found: String, path: String) throws(PackageFault) {
    guard found != schema else { return }
    let number = found.hasPrefix(schemaName) ? Int(found.dropFirst(schemaName.count)) : nil
    guard let number else {
      throw PackageFault(
        "version",
        "\(path) has the format \(Excerpt.quoted(found)), this program reads \"\(schema)\"; "
          + "give a bundle",
        context: ["file": path])
    }
    let advice =
      switch number {
      case 2..<version: "pack again"
      case ..<version: "quantize and pack again"
      default: "use a newer shardtool"
      }
    throw PackageFault(
      "version",
      "\(path) was packed in version \(number) of the format, this program reads version "
        + "\(version); "
        + advice,
      context: ["file": path])
  }
}

extension BlobReference {
  init(_ object: StrictObject) throws(PackageFault) {
    var object = object
    digest = try object.digest("digest")
    byteCount = try object.integer("bytes", in: 0...ManifestLimits.blobByteCount)
    try object.finish()
  }

  /// Checks that the chunks fill the blob exactly.
  func check(chunks: some Sequence<Chunk>, place: String) throws(PackageFault) {
    var sum = 0
    for chunk in chunks {
      sum += chunk.storedByteCount
      guard sum <= byteCount else { break }
    }
    guard sum == byteCount else {
      throw StrictObject.fault(
        "says that its blob has \(byteCount) bytes, but its chunks have "
          + (sum > byteCount ? "more" : "\(sum)"), place)
    }
  }
}

extension ManifestComponent {
  init(_ object: StrictObject, chunkByteCount: Int) throws(PackageFault) {
    var object = object
    let name = try object.string("name")
    guard let component = Component(name: name) else {
      throw StrictObject.fault("is \(Excerpt.quoted(name)), which names no component", object.place)
    }
    self.component = component
    blob = try BlobReference(try object.object("blob"))
    var tensors: [ManifestTensor] = []
    for tensor in try object.objects("tensors") {
      tensors.append(try ManifestTensor(tensor, chunkByteCount: chunkByteCount))
    }
    self.tensors = tensors
    shared = try object.strings("shared")
    try object.finish()
    try blob.check(chunks: tensors.lazy.flatMap { $0.planes.joined() }, place: object.place)
  }
}

extension ManifestTensor {
  init(_ object: StrictObject, chunkByteCount: Int) throws(PackageFault) {
    var object = object
    let name = try object.string("name")
    guard ManifestLimits.isTensorName(name) else {
      throw StrictObject.fault("has an unusable name", object.place)
    }
    let shape = try Self.shape(try object.array("shape"), place: object.place)
    let schemeName = try object.string("scheme")
    guard let scheme = Schemes.stored(named: schemeName) else {
      throw StrictObject.fault("has the unknown scheme \(Excerpt.quoted(schemeName))", object.place)
    }
    stored = StoredTensor(name: name, scheme: scheme, shape: shape)
    let layouts = stored.planes
    let objects = try object.objects("planes")
    guard objects.count == layouts.count else {
      throw StrictObject.fault(
        "has \(objects.count) planes instead of the \(layouts.count) of \(schemeName)",
        object.place)
    }
    var planes: [[Chunk]] = []
    for (layout, plane) in zip(layouts, objects) {
      planes.append(try Self.chunks(of: layout, plane, chunkByteCount: chunkByteCount))
    }
    self.planes = planes
    try object.finish()
  }

  private static func shape(_ values: [JSONValue], place: String) throws(PackageFault) -> [Int] {
    let shape = values.compactMap(\.int)
    guard shape.count == values.count, (1...2).contains(shape.count),
      shape.allSatisfy({ (1...ManifestLimits.dimension).contains($0) }),
      shape.count < 2 || shape[0] <= ManifestLimits.elementCount / shape[1]
    else { throw StrictObject.fault("has an unusable shape", place) }
    return shape
  }

  private static func chunks(
    of layout: PlaneLayout, _ object: StrictObject, chunkByteCount: Int
  ) throws(PackageFault) -> [Chunk] {
    var object = object
    let name = try object.string("name")
    let dataType = try object.string("dtype")
    let shape = try object.array("shape").compactMap(\.int)
    guard name == layout.name, dataType == layout.dataType.rawValue, shape == layout.shape else {
      throw StrictObject.fault(
        "is \(name) \(dataType) \(shape), expected \(layout.name) "
          + "\(layout.dataType.rawValue) \(layout.shape)", object.place)
    }
    let ranges = ChunkRanges(plane: layout, chunkByteCount: chunkByteCount)
    let chunks = try Chunk.list(
      try object.objects("chunks"), ranges: ranges, place: object.place)
    for chunk in chunks where chunk.rawByteCount % chunk.codec.splitByteCount != 0 {
      throw StrictObject.fault(
        "stores \(chunk.rawByteCount) bytes as \(chunk.codec.rawValue)", object.place)
    }
    try object.finish()
    return chunks
  }
}

extension Chunk {
  /// Reads the chunks of a plane or file, which must have exactly the prescribed lengths.
  static func list(
    _ objects: [StrictObject], ranges: ChunkRanges, place: String
  ) throws(PackageFault) -> [Chunk] {
    guard objects.count == ranges.count else {
      throw StrictObject.fault(
        "has \(objects.count) chunks instead of \(ranges.count) for \(ranges.byteCount) bytes",
        place)
    }
    var chunks: [Chunk] = []
    chunks.reserveCapacity(objects.count)
    for (index, object) in objects.enumerated() {
      let chunk = try Chunk(object)
      guard chunk.rawByteCount == ranges[index].count else {
        throw StrictObject.fault(
          "has \(chunk.rawByteCount) raw bytes instead of \(ranges[index].count)", object.place)
      }
      chunks.append(chunk)
    }
    return chunks
  }

  init(_ object: StrictObject) throws(PackageFault) {
    var object = object
    let name = try object.string("codec")
    guard let codec = ChunkCodec(rawValue: name) else {
      throw StrictObject.fault("has the unknown codec \(Excerpt.quoted(name))", object.place)
    }
    self.codec = codec
    rawByteCount = try object.integer("raw_bytes", in: 1...ManifestLimits.chunkByteCount)
    storedByteCount = try object.integer("stored_bytes", in: 1...rawByteCount)
    rawDigest = try object.digest("raw_digest")
    storedDigest = try object.digest("stored_digest")
    try object.finish()
    let isUnchanged = storedByteCount == rawByteCount && storedDigest == rawDigest
    guard codec != .raw || isUnchanged else {
      throw StrictObject.fault("is raw, but stored and raw bytes differ", object.place)
    }
    guard codec == .raw || storedByteCount < rawByteCount else {
      throw StrictObject.fault("is compressed, but no smaller for it", object.place)
    }
  }
}

extension ManifestFileSet {
  init(_ object: StrictObject, chunkByteCount: Int) throws(PackageFault) {
    var object = object
    blob = try BlobReference(try object.object("blob"))
    var files: [ManifestFile] = []
    for file in try object.objects("files") {
      files.append(try ManifestFile(file, chunkByteCount: chunkByteCount))
    }
    self.files = files
    try object.finish()
    try blob.check(chunks: files.lazy.flatMap(\.chunks), place: object.place)
    for (file, next) in zip(files, files.dropFirst()) {
      guard file.name.utf8.lexicographicallyPrecedes(next.name.utf8) else {
        throw StrictObject.fault("has files that are not sorted by name", object.place)
      }
    }
  }
}

extension ManifestFile {
  init(_ object: StrictObject, chunkByteCount: Int) throws(PackageFault) {
    var object = object
    name = try object.string("name")
    guard ManifestLimits.isPlainName(name) else {
      throw StrictObject.fault("has an unusable name", object.place)
    }
    let byteCount = try object.integer("bytes", in: 0...ManifestLimits.fileByteCount)
    let ranges = ChunkRanges(byteCount: byteCount, step: chunkByteCount)
    chunks = try Chunk.list(try object.objects("chunks"), ranges: ranges, place: object.place)
    try object.finish()
    guard chunks.allSatisfy({ $0.codec.splitByteCount == 1 }) else {
      throw StrictObject.fault("is stored with a codec for numbers", object.place)
    }
  }
}

extension ManifestNode {
  init(_ object: StrictObject) throws(PackageFault) {
    var object = object
    name = try object.string("name")
    guard ManifestLimits.isPlainName(name) else {
      throw StrictObject.fault("has an unusable name", object.place)
    }
    var components: [Component] = []
    for name in try object.strings("components") {
      guard let component = Component(name: name) else {
        throw StrictObject.fault(
          "names the unknown component \(Excerpt.quoted(name))", object.place)
      }
      components.append(component)
    }
    self.components = components
    try object.finish()
  }
}
