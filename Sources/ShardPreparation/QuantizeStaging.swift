import Checkpoints
import Quantization
import ShardPackaging
import StrictJSON
import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A quantized checkpoint in the making, in `.NAME.partial` beside the place where it will
/// appear whole.
///
/// The directory is locked while a command works in it. A killed command leaves it behind, and
/// the next one goes on from there; a command that fails removes it.
final class QuantizeStaging {
  /// Where the checkpoint will be.
  let target: String
  /// Where it is being made.
  let path: String
  /// Directories above the target that were made for it, the deepest first.
  private let parents: [String]
  private var lock: Int32 = -1

  static let progressFileName = "progress.json"

  /// Throws: `PreparationFault` where the target is no quantized checkpoint to be replaced, or
  /// another command is at work there; `FileFault` where the place cannot be written.
  init(target: String) throws {
    (self.target, parents) = try Self.resolve(target)
    path = "\(Directory.parent(of: self.target))/.\(Directory.name(of: self.target)).partial"
    do {
      try checkTarget()
      lock = try Self.locked(path, target: self.target)
      try recover()
      try refuseForeignFiles(in: path)
    } catch {
      unlock()
      Self.removeEmpty(parents)
      throw error
    }
  }

  deinit { unlock() }

  private func unlock() {
    if lock >= 0 { close(lock) }
    lock = -1
  }

  /// The absolute path, and the directories above it that were created.
  private static func resolve(_ target: String) throws -> (path: String, parents: [String]) {
    func real(_ path: String) throws(FileFault) -> String {
      guard let resolved = Directory.resolved(path) else {
        throw FileFault("find", path: path, errno: ENOENT, isOutput: true)
      }
      return resolved
    }
    if Directory.exists(target) { return (try real(target), []) }
    let name = Directory.name(of: target)
    guard ![".", "..", "/", ""].contains(name), !Directory.isFile(target) else {
      throw FileFault("create the directory", path: target, errno: EEXIST, isOutput: true)
    }
    let parent = Directory.parent(of: target)
    var created: [String] = []
    var above = parent
    while !Directory.exists(above), above != Directory.parent(of: above) {
      created.append(above)
      above = Directory.parent(of: above)
    }
    do {
      try Directory.create(parent)
      let base = try real(parent)
      return (base == "/" ? "/\(name)" : "\(base)/\(name)", created)
    } catch {
      removeEmpty(created)
      throw error
    }
  }

  /// Removes directories, the deepest first, as far as nothing lies in them.
  private static func removeEmpty(_ directories: [String]) {
    for directory in directories { _ = unsafe rmdir(directory) }
  }

  /// The target is free, empty or a quantized checkpoint with nothing else in it.
  private func checkTarget() throws {
    guard Directory.exists(target), let first = try Directory.names(in: target).first else {
      return
    }
    let configuration = "\(target)/config.json"
    let isOurs =
      (try? InputFile.contents(of: configuration, limit: 16 << 20))
      .flatMap { try? JSONParsing().parse($0).object }
      .map { QuantizationRecord.isPresent(in: $0) } ?? false
    guard isOurs else {
      throw PreparationFault(
        "foreignDirectory",
        "\(target) is no quantized checkpoint that could be replaced: it holds \(first); move "
          + "that away or give another --output",
        exitStatus: .cannotCreate, context: ["file": target])
    }
    try refuseForeignFiles(in: target)
  }

  private func refuseForeignFiles(in directory: String) throws {
    for name in try Directory.names(in: directory) where !Self.isOwn(name) {
      throw PreparationFault(
        "foreignFile",
        "\(directory) holds \(name), which quantize has not written and will not remove; move it "
          + "away or give another --output",
        exitStatus: .cannotCreate, context: ["file": "\(directory)/\(name)"])
    }
  }

  /// Whether quantize writes files of that name.
  private static func isOwn(_ name: String) -> Bool {
    var stem = name[...]
    if stem.hasSuffix(".partial") { stem = stem.dropLast(8) }
    if isWeightFile(stem) { return true }
    // Small files are staged as NAME.PROCESS.partial.
    if stem.count < name.count, let dot = stem.lastIndex(of: ".") { stem = stem[..<dot] }
    return Checkpoint.tokenizerFileNames.contains(String(stem))
      || [
        "config.json", "model.safetensors.index.json", QuantizeReport.fileName, progressFileName,
        Provenance.fileName,
      ].contains(String(stem))
  }

  /// `model-00001-of-00034.safetensors`.
  private static func isWeightFile(_ name: Substring) -> Bool {
    let parts = name.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "model", parts[2] == "of",
      parts[3].hasSuffix(".safetensors")
    else { return false }
    return [parts[1], parts[3].dropLast(12)].allSatisfy { digits in
      digits.count >= 5 && digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }
  }

  /// Creates the directory where it is missing and locks it.
  private static func locked(_ path: String, target: String) throws -> Int32 {
    for _ in 0..<16 {
      try Directory.create(path)
      let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
      if descriptor < 0, errno == ENOENT { continue }
      guard descriptor >= 0 else {
        throw FileFault("open", path: path, errno: errno, isOutput: true)
      }
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
        close(descriptor)
        throw PreparationFault(
          "busy", "another command is writing \(target); try again when it is done",
          exitStatus: .tryAgain, context: ["file": target])
      }
      var opened = stat()
      var named = stat()
      // Between opening and locking, the directory may have become the target.
      if unsafe fstat(descriptor, &opened) == 0, unsafe lstat(path, &named) == 0,
        opened.st_ino == named.st_ino, opened.st_dev == named.st_dev
      {
        return descriptor
      }
      close(descriptor)
    }
    throw FileFault("lock", path: path, errno: EAGAIN, isOutput: true)
  }

  /// Removes all files but those named.
  func keepOnly(_ names: Set<String>) throws {
    for name in try Directory.names(in: path) where !names.contains(name) {
      try Directory.remove("\(path)/\(name)")
    }
  }

  /// Removes what was made so far.
  func abandon() {
    guard lock >= 0 else { return }
    try? keepOnly([])
    try? Directory.remove(path)
    Self.removeEmpty(parents)
    unlock()
  }

  /// Puts the finished directory in its place.
  func commit() throws {
    try Directory.synchronize(path)
    let parent = Directory.parent(of: target)
    if Directory.exists(target) {
      try checkTarget()
      try exchange()
      try Directory.synchronize(parent)
      try? keepOnly([])
      try? Directory.remove(path)
    } else {
      try Directory.rename(path, to: target)
    }
    try Directory.synchronize(parent)
    unlock()
  }

  /// Where the old checkpoint waits on a file system that cannot exchange two names.
  private var aside: String { "\(path).old" }

  /// Swaps staging and target in one step, or in two where the file system cannot.
  private func exchange() throws {
    switch AtomicExchange.exchange(path, target) {
    case 0: return
    case EINVAL, ENOSYS, ENOTSUP: break
    case let number:
      throw FileFault("move \(path) to", path: target, errno: number, isOutput: true)
    }
    try Directory.rename(target, to: aside)
    do {
      try Directory.rename(path, to: target)
    } catch {
      try? Directory.rename(aside, to: target)
      throw error
    }
    try Directory.rename(aside, to: path)
  }

  /// Undoes half an exchange that a killed command has left.
  private func recover() throws {
    guard Directory.exists(aside) else { return }
    if Directory.exists(target) {
      try refuseForeignFiles(in: aside)
      try Directory.remove(aside)
    } else {
      try Directory.rename(aside, to: target)
    }
  }
}
