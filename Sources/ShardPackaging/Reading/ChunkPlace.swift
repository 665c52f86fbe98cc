import Quantization

/// A chunk, where it lies and what it is part of: enough to read it and to name it in a fault.
struct ChunkPlace: Sendable {
  let chunk: Chunk
  let blob: BlobReference
  /// First byte in the blob.
  let blobOffset: Int
  /// First byte in the plane or file.
  let contentOffset: Int
  let content: Content

  enum Content: Sendable {
    case file(String)
    case plane(StoredTensor, index: Int, component: String)
  }

  /// Who owns the blob, for people: `block-3`, or the file.
  var owner: String {
    switch content {
    case .file(let name): name
    case .plane(_, _, let component): component
    }
  }

  /// What the bytes are, for people.
  var subject: String {
    switch content {
    case .file(let name): "file \(name)"
    case .plane(let tensor, let index, _):
      "tensor \(tensor.name), plane \(tensor.planes[index].name)"
    }
  }

  /// What machines get to know of a fault here.
  var context: [String: String] {
    var context = ["blob": blob.digest.description, "offset": String(blobOffset)]
    switch content {
    case .file(let name): context["file"] = name
    case .plane(let tensor, let index, let component):
      context["tensor"] = tensor.name
      context["plane"] = tensor.planes[index].name
      context["component"] = component
    }
    return context
  }

  func fault(_ reason: String, _ problem: String) -> PackageFault {
    let end = blobOffset + chunk.storedByteCount
    return PackageFault(
      reason,
      "blob \(blob.digest.hexadecimal) of \(owner) is damaged in bytes \(blobOffset)..<\(end) "
        + "(\(subject), from byte \(contentOffset)): \(problem); copy this blob again or pack "
        + "the bundle anew",
      context: context)
  }
}

extension ManifestComponent {
  /// The chunks of the tensors that `isWanted` names, in the order of the blob.
  func places(where isWanted: (String) -> Bool = { _ in true }) -> [ChunkPlace] {
    var places: [ChunkPlace] = []
    var blobOffset = 0
    for tensor in tensors {
      let isWanted = isWanted(tensor.stored.name)
      for (index, chunks) in tensor.planes.enumerated() {
        var offset = 0
        for chunk in chunks {
          if isWanted {
            places.append(
              ChunkPlace(
                chunk: chunk, blob: blob, blobOffset: blobOffset, contentOffset: offset,
                content: .plane(tensor.stored, index: index, component: component.name)))
          }
          offset += chunk.rawByteCount
          blobOffset += chunk.storedByteCount
        }
      }
    }
    return places
  }
}

extension ManifestFileSet {
  /// The chunks of all files in the order of the blob.
  var places: [ChunkPlace] {
    var places: [ChunkPlace] = []
    var blobOffset = 0
    for file in files {
      var offset = 0
      for chunk in file.chunks {
        places.append(
          ChunkPlace(
            chunk: chunk, blob: blob, blobOffset: blobOffset, contentOffset: offset,
            content: .file(file.name)))
        offset += chunk.rawByteCount
        blobOffset += chunk.storedByteCount
      }
    }
    return places
  }
}
