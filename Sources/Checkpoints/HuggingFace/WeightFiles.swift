import StrictJSON
import TensorCore

/// Finds and opens the weight files of a checkpoint directory.
struct WeightFiles {
  static let singleFileName = "model.safetensors"
  /// Weights that are not read, named where there are no others.
  private static let otherEndings = [".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack"]

  let files: [SafetensorsFile]
  let places: [String: (file: Int, entry: TensorEntry)]
  let unlistedNames: [String]

  /// `model.safetensors`, else the files of the index, else the only safetensors file.
  init(directory: String) throws {
    let single = directory + "/" + Self.singleFileName
    let index = directory + "/" + ShardIndex.fileName
    if Directory.isFile(single) {
      try self.init(file: SafetensorsFile(path: single))
    } else if Directory.isFile(index) {
      try self.init(directory: directory, index: ShardIndex(path: index))
    } else {
      try self.init(file: SafetensorsFile(path: Self.onlyFile(in: directory)))
    }
  }

  private init(file: SafetensorsFile) throws(CheckpointFault) {
    files = [file]
    unlistedNames = []
    var places: [String: (file: Int, entry: TensorEntry)] = [:]
    places.reserveCapacity(file.entries.count)
    for entry in file.entries { places[entry.name] = (0, entry) }
    self.places = places
  }

  private init(directory: String, index: ShardIndex) throws {
    let names = index.fileNames
    var files: [SafetensorsFile] = []
    for name in names {
      files.append(
        try SafetensorsFile(path: Self.shardPath(name, directory: directory, index: index)))
    }
    let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
    var places: [String: (file: Int, entry: TensorEntry)] = [:]
    places.reserveCapacity(index.shards.count)
    for (tensor, name) in index.shards {
      guard let number = numbers[name], let entry = files[number][tensor] else {
        throw CheckpointFault(
          "indexMismatch",
          "\(index.path) says that \(name) holds tensor \(Excerpt.quoted(tensor)), but it does "
            + "not; download the index and the shards again", file: index.path, tensor: tensor)
      }
      places[tensor] = (number, entry)
    }
    unlistedNames = try Self.unlisted(files, places: places)
    self.files = files
    self.places = places
  }

  /// Tensors that the shards hold and the index leaves out: they count as absent.
  ///
  /// Throws: `CheckpointFault` for a listed tensor that stands in a second file as well.
  private static func unlisted(
    _ files: [SafetensorsFile], places: [String: (file: Int, entry: TensorEntry)]
  ) throws(CheckpointFault) -> [String] {
    var names: [String] = []
    for (number, file) in files.enumerated() {
      for entry in file.entries {
        switch places[entry.name]?.file {
        case number: continue
        case nil: names.append(entry.name)
        case let other?:
          throw CheckpointFault(
            "indexMismatch",
            "tensor \(Excerpt.quoted(entry.name)) stands in \(files[other].path) and in "
              + "\(file.path); download the index and the shards again",
            file: file.path, tensor: entry.name)
        }
      }
    }
    return names.sorted()
  }

  /// The path of a shard, after a look at where it really lies.
  private static func shardPath(
    _ name: String, directory: String, index: ShardIndex
  ) throws -> String {
    let path = directory + "/" + name
    guard Directory.isFile(path) else {
      throw CheckpointFault(
        "missingShard",
        "\(index.path) names the file \(name), which is not in \(directory); download it as well",
        file: path, exitStatus: .noInput)
    }
    guard let resolved = Directory.resolved(path), let home = Directory.resolved(directory),
      isAllowed(resolved, home: home)
    else {
      throw CheckpointFault(
        "pathEscape",
        "\(path) is a link that leads out of the checkpoint; copy the file itself into "
          + "\(directory), or give the directory where it lies", file: path)
    }
    return path
  }

  /// A link may lead within the directory, or from a snapshot of Hugging Face's download cache
  /// (`snapshots/REVISION`) to the `blobs` beside the snapshots.
  private static func isAllowed(_ resolved: String, home: String) -> Bool {
    let parent = Directory.parent(of: resolved)
    if parent == home || parent.hasPrefix(home + "/") { return true }
    let snapshots = Directory.parent(of: home)
    return Directory.name(of: snapshots) == "snapshots"
      && parent == Directory.parent(of: snapshots) + "/blobs"
  }

  private static func onlyFile(in directory: String) throws -> String {
    let all = try Directory.names(in: directory)
    let names = all.filter { $0.hasSuffix(".safetensors") }
    switch names.count {
    case 1: return directory + "/" + names[0]
    case 0:
      let others = all.filter { name in otherEndings.contains { name.hasSuffix($0) } }
      let found = others.isEmpty ? "" : ", only \(SafetensorsFile.list(others))"
      throw CheckpointFault(
        "noWeights",
        "\(directory) holds neither \(singleFileName) nor \(ShardIndex.fileName)\(found); "
          + "download the model's safetensors files", file: directory, exitStatus: .noInput)
    default:
      throw CheckpointFault(
        "ambiguousWeights",
        "\(directory) holds \(names.count) safetensors files and no \(ShardIndex.fileName) that "
          + "says which belong together; download the index as well", file: directory,
        exitStatus: .noInput)
    }
  }
}
