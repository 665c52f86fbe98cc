import ModelArchitectures

/// What must hold between the parts of a manifest.
extension Manifest {
  /// Every component once, in the order of execution; every tensor in one blob.
  func checkComponents(path: String) throws(PackageFault) {
    let expected = Component.all(layerCount: max(0, components.count - 2))
    guard components.map(\.component) == expected else {
      throw coverage(
        path,
        "lists the components \(Self.list(components.map(\.component))) instead of "
          + "embedding, each block once and in order, head")
    }
    var owners: [String: Component] = [:]
    for entry in components {
      for tensor in entry.tensors {
        let name = tensor.stored.name
        if let other = owners.updateValue(entry.component, forKey: name) {
          throw coverage(
            path, "has the tensor \(name) in \(other.name) and \(entry.component.name)")
        }
      }
    }
    for entry in components {
      guard Set(entry.shared).count == entry.shared.count else {
        throw coverage(path, "lists a shared tensor of \(entry.component.name) twice")
      }
      for name in entry.shared {
        guard let owner = owners[name], owner != entry.component else {
          throw coverage(
            path, "says that \(entry.component.name) shares \(name), which no other component has")
        }
      }
    }
  }

  /// Every component on exactly one node; a node's components in the order of execution.
  func checkNodes(path: String) throws(PackageFault) {
    var names: Set<String> = []
    var holders: [Component: String] = [:]
    for node in nodes {
      guard names.insert(node.name.lowercased()).inserted else {
        throw coverage(path, "has two nodes named \(node.name) (capitals do not count)")
      }
      for (component, next) in zip(node.components, node.components.dropFirst()) {
        guard component < next else {
          throw coverage(path, "gives node \(node.name) components out of order")
        }
      }
      for component in node.components {
        if let other = holders.updateValue(node.name, forKey: component) {
          throw coverage(path, "gives \(component.name) to \(other) and to \(node.name)")
        }
      }
    }
    for entry in components where holders[entry.component] == nil {
      throw coverage(path, "gives \(entry.component.name) to no node")
    }
    guard holders.count == components.count else {
      throw coverage(path, "gives nodes components that it does not list")
    }
  }

  /// config.json and plan.json are there.
  func checkFiles(path: String) throws(PackageFault) {
    guard modelFiles.files.contains(where: { $0.name == BundleFiles.configuration }) else {
      throw coverage(path, "has no \(BundleFiles.configuration)")
    }
    guard planFiles.files.map(\.name) == [BundleFiles.plan] else {
      throw coverage(path, "has something else than \(BundleFiles.plan) as its plan")
    }
    var sizes: [Digest: Int] = [:]
    for blob in components.map(\.blob) + [modelFiles.blob, planFiles.blob] {
      let size = sizes.updateValue(blob.byteCount, forKey: blob.digest)
      guard size == nil || size == blob.byteCount else {
        throw coverage(path, "gives the blob \(blob.digest) two lengths")
      }
    }
  }

  func checkIdentities(path: String) throws(PackageFault) {
    let model = Self.modelID(
      chunkByteCount: chunkByteCount, components: components, files: modelFiles)
    guard model == modelID else {
      throw PackageFault(
        "identity", "\(path) says its model is \(modelID), but its content is \(model)",
        context: ["file": path])
    }
    let bundle = Self.bundleID(modelID: modelID, plan: planFiles, nodes: nodes)
    guard bundle == bundleID else {
      throw PackageFault(
        "identity", "\(path) says its bundle is \(bundleID), but its content is \(bundle)",
        context: ["file": path])
    }
  }

  private func coverage(_ path: String, _ problem: String) -> PackageFault {
    PackageFault("coverage", "\(path) \(problem); pack the bundle anew", context: ["file": path])
  }

  private static func list(_ components: [Component]) -> String {
    let names = components.prefix(6).map(\.name).joined(separator: ", ")
    return components.count > 6 ? names + " …" : names
  }
}
