import Checkpoints
import Quantization
import ShardPackaging
import StrictJSON
import Synchronization
import TensorCore
import TensorKernels

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What an interrupted command has finished: kept in the staging directory, and gone from the
/// result.
struct QuantizeProgress {
  /// A finished file.
  struct Finished {
    let byteCount: Int
    let digest: String
    let sums: [SquareSums]
    var gains: [String: CalibrationGain] = [:]
  }

  /// Stands for the input and all options that the output's bytes depend on.
  let fingerprint: String
  private(set) var files: [String: Finished] = [:]

  /// Raise this when encoders change, so that files of an older version are not kept.
  private static let encoderVersion = 4

  init(fingerprint: String) { self.fingerprint = fingerprint }

  mutating func add(_ name: String, _ finished: Finished) { files[name] = finished }

  /// A digest over recipe, effort, calibration, configuration and the weight files' headers, sizes
  /// and times.
  static func fingerprint(
    _ checkpoint: Checkpoint, recipe: Recipe, effort: Effort, calibration: CalibrationText?,
    schemes: [String: String]
  ) throws -> String {
    var weights: [JSONValue] = []
    for file in checkpoint.weightFiles {
      var status = stat()
      guard unsafe stat(file.path, &status) == 0 else {
        throw FileFault("examine", path: file.path, errno: errno, isOutput: false)
      }
      #if canImport(Glibc)
        let time = status.st_mtim
      #else
        let time = status.st_mtimespec
      #endif
      let header = file.entries.map {
        "\($0.name) \($0.dataType.rawValue) \($0.shape) \($0.byteRange)"
      }
      weights.append([
        "name": .string(Directory.name(of: file.path)), "bytes": JSONValue(file.file.byteCount),
        "seconds": JSONValue(time.tv_sec), "nanoseconds": JSONValue(time.tv_nsec),
        "inode": .string("\(status.st_dev) \(status.st_ino)"),
        "header": .string(
          Digest(of: Array(header.joined(separator: "\n").utf8)).hexadecimal),
      ])
    }
    let value: JSONValue = [
      "version": JSONValue(encoderVersion), "recipe": recipe.json,
      "effort": .string(effort.rawValue),
      "schemes": .array(
        schemes.sorted { $0.key < $1.key }.map { [.string($0.key), .string($0.value)] }),
      "calibration": .string(calibration?.fingerprint ?? ""),
      "configuration": .object(checkpoint.configuration), "weights": .array(weights),
    ]
    return Digest(of: Array(value.serialized(.canonical).utf8)).hexadecimal
  }

  /// The SHA-256 of a file.
  static func digest(of path: String) throws -> (byteCount: Int, hexadecimal: String) {
    let file = try InputFile(path: path)
    let stream = DigestStream()
    var offset = 0
    while offset < file.byteCount {
      let bytes = try file.bytes(at: offset, count: min(4 << 20, file.byteCount - offset))
      unsafe stream.update(bytes.span.bytes)
      offset += bytes.count
    }
    return (file.byteCount, stream.finish().hexadecimal)
  }
}

extension QuantizeProgress {
  func write(to directory: String) throws {
    var members = JSONObject()
    for (name, file) in files.sorted(by: { $0.key < $1.key }) {
      var gains = JSONObject()
      for (name, gain) in file.gains.sorted(by: { $0.key < $1.key }) { gains[name] = gain.json }
      members[name] = [
        "bytes": JSONValue(file.byteCount), "sha256": .string(file.digest),
        "sums": .array(
          file.sums.map { [.string($0.power.hexadecimal), .string($0.errorPower.hexadecimal)] }),
        "gains": .object(gains),
      ]
    }
    let value: JSONValue = ["fingerprint": .string(fingerprint), "files": .object(members)]
    try Directory.writeAtomically(
      Array(value.serialized(.pretty).utf8),
      to: "\(directory)/\(QuantizeStaging.progressFileName)")
  }

  /// What of an earlier command can be kept: files whose bytes are still those written then.
  ///
  /// Anything that does not read as expected counts as not there.
  static func resumed(
    in directory: String, fingerprint: String, pool: WorkerPool, progress: ProgressHandler?
  ) -> QuantizeProgress {
    var resumed = QuantizeProgress(fingerprint: fingerprint)
    let recorded = recorded(in: directory, fingerprint: fingerprint)
    let total = recorded.reduce(0) { $0 + $1.file.byteCount }
    let sound = Mutex((names: Set<String>(), completed: 0))
    pool.run(chunks: recorded.count) { index in
      let (name, file) = recorded[index]
      let found = try? Self.digest(of: "\(directory)/\(name)")
      let completed = sound.withLock { state in
        state.completed += file.byteCount
        if let found, found.byteCount == file.byteCount, found.hexadecimal == file.digest {
          state.names.insert(name)
        }
        return state.completed
      }
      progress?(ProgressUpdate(phase: "resume", completedBytes: completed, totalBytes: total))
    }
    let names = sound.withLock { $0.names }
    for (name, file) in recorded where names.contains(name) { resumed.add(name, file) }
    return resumed
  }

  /// The files that a record of the same input and options names.
  private static func recorded(
    in directory: String, fingerprint: String
  ) -> [(name: String, file: Finished)] {
    let path = "\(directory)/\(QuantizeStaging.progressFileName)"
    guard let bytes = try? InputFile.contents(of: path, limit: 64 << 20),
      let value = try? JSONParsing().parse(bytes),
      value["fingerprint"]?.string == fingerprint, let files = value["files"]?.object
    else { return [] }
    return files.members.compactMap { name, entry in
      guard let count = entry["bytes"]?.int, count >= 0, let digest = entry["sha256"]?.string,
        let pairs = entry["sums"]?.array, let members = entry["gains"]?.object,
        !name.contains("/")
      else { return nil }
      var gains: [String: CalibrationGain] = [:]
      for (name, value) in members.members { gains[name] = CalibrationGain(json: value) }
      let sums = pairs.compactMap { pair -> SquareSums? in
        guard let power = pair.array?.first?.string.flatMap(Double.init(hexadecimal:)),
          let error = pair.array?.last?.string.flatMap(Double.init(hexadecimal:))
        else { return nil }
        return SquareSums(power: power, errorPower: error)
      }
      guard sums.count == pairs.count, gains.count == members.count else { return nil }
      return (name, Finished(byteCount: count, digest: digest, sums: sums, gains: gains))
    }
  }
}

extension Double {
  /// The 64 bits as hexadecimal digits, so that a number reads back as the same.
  fileprivate var hexadecimal: String { String(bitPattern, radix: 16) }

  fileprivate init?(hexadecimal: String) {
    guard let bits = UInt64(hexadecimal, radix: 16) else { return nil }
    self.init(bitPattern: bits)
  }
}
