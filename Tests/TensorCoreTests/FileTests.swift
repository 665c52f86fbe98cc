import Dispatch
import TensorCore
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct FileTests {
  let place: TemporaryDirectory
  var path: String { place.appending("file") }

  init() throws { place = try TemporaryDirectory() }

  @Test func readsWhatWasWrittenAtAnyOffset() throws {
    let output = try OutputFile(path: path)
    try output.write([4, 5, 6], at: 3)
    try output.write([1, 2, 3], at: 0)
    try output.synchronize()
    let input = try InputFile(path: path)
    #expect(input.byteCount == 6)
    #expect(try input.bytes(at: 0, count: 6) == [1, 2, 3, 4, 5, 6])
    #expect(try input.bytes(at: 4, count: 2) == [5, 6])
    #expect(try input.bytes(at: 100, count: 0).isEmpty)
    #expect(try InputFile.contents(of: path) == [1, 2, 3, 4, 5, 6])
  }

  @Test func severalThreadsReadAtOnce() throws {
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try OutputFile(path: path).write(bytes, at: 0)
    let input = try InputFile(path: path)
    DispatchQueue.concurrentPerform(iterations: 8) { part in
      let begin = part * 12_500
      #expect((try? input.bytes(at: begin, count: 12_500)) == Array(bytes[begin..<begin + 12_500]))
    }
  }

  @Test func createsAnEmptyFileOverAnOldOne() throws {
    try OutputFile(path: path).write([1, 2, 3], at: 0)
    _ = try OutputFile(path: path)
    #expect(try InputFile.contents(of: path).isEmpty)
  }

  @Test func endOfFileIsAFault() throws {
    try OutputFile(path: path).write([1, 2, 3], at: 0)
    let input = try InputFile(path: path)
    let fault = try #require(throws: FileFault.self) { try input.bytes(at: 1, count: 3) }
    #expect(fault.code == "file.truncated")
    #expect(fault.exitStatus == .badData)
    #expect(fault.message.contains("ends before byte 4"))
  }

  @Test func refusesWhatIsNoFile() throws {
    let missing = try #require(throws: FileFault.self) {
      try InputFile(path: place.appending("absent"))
    }
    #expect(missing.exitStatus == .noInput)
    let directory = try #require(throws: FileFault.self) { try InputFile(path: place.path) }
    #expect(directory.code == "file.notRegular")
    #expect(throws: FileFault.self) { try InputFile(path: "/dev/null") }
    let made = unsafe mkfifo(place.appending("pipe"), 0o600)
    #expect(made == 0)
    let pipe = try #require(throws: FileFault.self) {
      try InputFile(path: place.appending("pipe"))
    }
    #expect(pipe.code == "file.notRegular")
    let unwritable = try #require(throws: FileFault.self) {
      try OutputFile(path: place.appending("absent/file"))
    }
    #expect(unwritable.exitStatus == .cannotCreate)
    #expect(throws: FileFault.self) { try OutputFile(path: place.path) }
  }

  @Test func contentsKeepToTheLimit() throws {
    try OutputFile(path: path).write([1, 2, 3], at: 0)
    #expect(try InputFile.contents(of: path, limit: 3).count == 3)
    let fault = try #require(throws: FileFault.self) {
      try InputFile.contents(of: path, limit: 2)
    }
    #expect(fault.code == "file.tooLarge")
  }
}
