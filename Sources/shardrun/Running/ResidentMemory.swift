import Foundation
import TensorCore

/// The most memory this process had resident, with the means to leave a measurement out of it.
enum ResidentMemory {
  /// Bytes; 0 where the system does not say.
  static var peakBytes: Int {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else {
      return 0
    }
    for line in status.split(separator: "\n") where line.hasPrefix("VmHWM:") {
      let digits = line.filter { $0.isASCII && $0.isNumber }
      return (Int(digits) ?? 0) << 10
    }
    return 0
  }

  /// Begins to count anew; false where the system cannot.
  static func forgetPeak() -> Bool {
    guard let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return false }
    return (try? file.write(contentsOf: Data("5".utf8))) != nil
  }
}
