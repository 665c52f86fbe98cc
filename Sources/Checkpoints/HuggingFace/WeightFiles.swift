import StrictJSON
import TensorCore

/// Finds and opens the weight files of a checkpoint directory.
struct WeightFiles {
  static let singleFileName = "model.safetensors"

  let files: [SafetensorsFile]
  let places: [String: (file: Int, entry: TensorEntry)]

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
    try Self.checkUnlisted(files, places: places, index: index)
    self.files = files
    self.places = places
  }

  /// A tensor may stand in one file only, and in none that the index leaves out.
  private static func checkUnlisted(
    _ files: [SafetensorsFile], places: [String: (file: Int, entry: TensorEntry)],
    index: ShardIndex
  ) throws(CheckpointFault) {
    for (number, file) in files.enumerated() {
      for entry in file.entries where places[entry.name]?.file != number {
        let problem =
          places[entry.name].map { "which \(files[$0.file].path) holds as well" }
          ?? "which \(index.path) does not list"
        throw CheckpointFault(
          "indexMismatch",
          "\(file.path) holds tensor \(Excerpt.quoted(entry.name)), \(problem); "
            + "download the index and the shards again", file: file.path, tensor: entry.name)
      }
    }
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
    return path
  }

  private static func onlyFile(in directory: String) throws -> String {
    let names = try Directory.names(in: directory).filter { $0.hasSuffix(".safetensors") }
    switch names.count {
    case 1: return directory + "/" + names[0]
    case 0:
      throw CheckpointFault(
        "noWeights",
        "\(directory) holds neither \(singleFileName) nor \(ShardIndex.fileName); "
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
