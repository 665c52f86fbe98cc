import ModelArchitectures
import ShardPlanning
import StrictJSON
import TensorCore

/// The checks on the way to a `VerifiedPackage`, in their order.
struct PackageOpening {
  let directory: String
  let manifest: Manifest
  let node: String
  let isWholeBundle: Bool
  let store: BlobStore
  let requirement: TrustRequirement
  let trust: TrustVerdict
  private let manifestPath: String

  init(directory: String, node wanted: String?, requirement: TrustRequirement) throws {
    self.directory = directory
    self.requirement = requirement
    manifestPath = "\(directory)/\(BundleFiles.manifest)"
    guard Directory.exists(directory) else {
      throw PackageFault(
        "noBundle", "\(directory) is not a directory; give a bundle or node directory",
        exitStatus: .noInput, context: ["file": directory])
    }
    guard Directory.isFile(manifestPath) else {
      throw PackageFault(
        "noBundle",
        "\(directory) holds no \(BundleFiles.manifest), so it is no bundle; make one with "
          + "shardtool pack", exitStatus: .noInput, context: ["file": manifestPath])
    }
    let path = manifestPath
    let bytes = try requirement.guarding {
      try InputFile.contents(of: path, limit: ManifestLimits.manifestByteCount)
    }
    // Whom the bytes come from is asked before anything in them is believed.
    let check = TrustCheck(requirement: requirement, directory: directory)
    let signed = try check.judgeSignatures(of: bytes)
    let manifest = try Manifest(file: bytes, path: path)
    self.manifest = manifest
    trust = try check.judgeSequence(of: manifest, signed)
    store = BlobStore(directory: directory, requirement: requirement)
    let own = try requirement.guarding { try Self.descriptor(directory, manifest: manifest) }
    if let own, let wanted, own.node != wanted {
      throw PackageFault(
        "wrongNode", "\(directory) is the part of node \(own.node), not of \(wanted)",
        exitStatus: .noInput, context: ["node": wanted])
    }
    isWholeBundle = own == nil && wanted == nil
    node = own?.node ?? wanted ?? manifest.nodes.first?.name ?? ""
    guard manifest.node(node) != nil else {
      let names = manifest.nodes.map(\.name).joined(separator: ", ")
      throw PackageFault(
        "unknownNode", "\(directory) has no node \(node); it has \(names)",
        exitStatus: .noInput, context: ["node": node])
    }
    try checkBlobs()
  }

  /// Reads node.json where the directory has one.
  private static func descriptor(
    _ directory: String, manifest: Manifest
  ) throws -> NodeDescriptor? {
    let path = "\(directory)/\(BundleFiles.nodeDescriptor)"
    guard Directory.isFile(path) else { return nil }
    let bytes = try InputFile.contents(of: path, limit: ManifestLimits.nodeDescriptorByteCount)
    let descriptor = try NodeDescriptor(file: bytes, path: path)
    guard descriptor.bundleID == manifest.bundleID else {
      throw PackageFault(
        "mixedBundles",
        "\(path) belongs to bundle \(descriptor.bundleID), the manifest beside it to "
          + "\(manifest.bundleID); copy the node's directory again",
        context: ["file": path, "node": descriptor.node])
    }
    guard manifest.node(descriptor.node) != nil else {
      throw PackageFault(
        "unknownNode",
        "\(path) is of node \(descriptor.node), which the manifest beside it does not have; copy "
          + "the node's directory again",
        context: ["file": path, "node": descriptor.node])
    }
    return descriptor
  }

  /// Every blob in scope is there with its full length.
  private func checkBlobs() throws {
    let components =
      isWholeBundle ? manifest.components.map(\.component) : manifest.node(node)?.components ?? []
    for blob in manifest.blobs(of: components) {
      let owner = manifest.owner(of: blob)
      _ = try store.file(blob, owner: owner)
      store.close(blob)
    }
  }

  /// The files beside the weights, each chunk verified.
  func readFiles() throws -> (model: [String: [UInt8]], plan: [UInt8]) {
    let model = try read(manifest.modelFiles)
    let plan = try read(manifest.planFiles)
    return (model, plan[BundleFiles.plan] ?? [])
  }

  private func read(_ set: ManifestFileSet) throws -> [String: [UInt8]] {
    var contents: [String: [UInt8]] = [:]
    for file in set.files { contents[file.name] = [] }
    let places = set.places
    try store.read(places, pool: nil) { index, bytes in
      guard case .file(let name) = places[index].content else { return }
      unsafe bytes.withUnsafeBytes { unsafe contents[name]?.append(contentsOf: $0) }
    }
    store.close(set.blob)
    return contents
  }

  /// The plan, which must give each node what the manifest gives it.
  func plan(_ bytes: [UInt8]) throws -> ShardPlan {
    let source = "\(manifestPath): \(BundleFiles.plan)"
    let plan = try ShardPlan(json: try parse(bytes, source), source: source)
    let planned = plan.nodes.map { ManifestNode($0) }
    guard planned == manifest.nodes else {
      throw PackageFault(
        "coverage",
        "\(manifestPath) gives nodes other components than its plan; pack the bundle anew",
        context: ["file": manifestPath])
    }
    return plan
  }

  func configuration(_ bytes: [UInt8]) throws -> JSONObject {
    let source = "\(manifestPath): \(BundleFiles.configuration)"
    guard let object = try parse(bytes, source).object else {
      throw PackageFault(
        "notAnObject", "\(source) is no JSON object; pack the bundle anew",
        context: ["file": BundleFiles.configuration])
    }
    return object
  }

  private func parse(_ bytes: [UInt8], _ source: String) throws(PackageFault) -> JSONValue {
    do { return try JSONParsing().parse(bytes) } catch {
      throw PackageFault(
        "notJSON", "\(source): \(error.message) at byte \(error.offset)",
        context: ["file": source, "offset": String(error.offset)])
    }
  }

  /// The architecture, whose tensors must be the manifest's.
  func architecture(_ configuration: JSONObject) throws -> any ModelArchitecture {
    let architecture = try ArchitectureRegistry.architecture(for: configuration)
    try manifest.check(against: architecture, path: manifestPath)
    return architecture
  }
}

extension ManifestNode {
  /// What a plan gives a node, in the order of execution.
  init(_ node: PlannedNode) {
    name = node.name
    components = node.components
  }
}

extension Manifest {
  /// Whose blob this is, for people.
  func owner(of blob: BlobReference) -> String {
    if blob == modelFiles.blob { return "configuration and tokenizer" }
    if blob == planFiles.blob { return "the plan" }
    return components.first { $0.blob == blob }?.component.name ?? "the bundle"
  }

  /// Every component has exactly the tensors, of the shapes, that the architecture executes.
  func check(against architecture: any ModelArchitecture, path: String) throws(PackageFault) {
    guard components.map(\.component) == architecture.components else {
      throw PackageFault(
        "coverage",
        "\(path) has \(components.count - 2) blocks, its configuration asks for "
          + "\(architecture.dimensions.layerCount)", context: ["file": path])
    }
    for entry in components {
      let names = entry.tensors.map(\.stored.name) + entry.shared
      let specs = architecture.tensors(of: entry.component)
      guard Set(names) == Set(specs.map(\.name)) else {
        let wrong = Set(names).symmetricDifference(specs.map(\.name)).min() ?? ""
        throw PackageFault(
          "tensors",
          "\(path): \(entry.component.name) has other tensors than its configuration asks for, "
            + "among them \(wrong); pack the bundle anew",
          context: ["file": path, "component": entry.component.name, "tensor": wrong])
      }
      for spec in specs {
        guard let tensor = entry.tensors.first(where: { $0.stored.name == spec.name }),
          tensor.stored.shape != spec.shape
        else { continue }
        throw PackageFault(
          "tensors",
          "\(path): tensor \(spec.name) has the shape \(tensor.stored.shape), its configuration "
            + "asks for \(spec.shape); pack the bundle anew",
          context: ["file": path, "tensor": spec.name])
      }
    }
  }
}
