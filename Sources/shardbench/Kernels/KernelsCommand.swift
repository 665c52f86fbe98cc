import ArgumentParser
import CommandLineSupport
import StrictJSON
import TensorCore
import TensorKernels

/// `shardbench kernels`: products with weights beside the memory's read bandwidth.
struct KernelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels",
    abstract: "Measures products with weights beside the memory's read bandwidth.",
    discussion: """
      Each repetition measures the product and then the bandwidth, with the same threads; medians \
      are shown, and as share the median over the repetitions. So many copies of the matrix are \
      used by turns that no cache holds the weights.
      """)

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Rows and columns of the weights.", valueName: "RxC"))
  var shape: [KernelShape] = [
    KernelShape(rows: 4096, columns: 14336), KernelShape(rows: 4096, columns: 4096),
  ]

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Formats of the weights.", valueName: "scheme"))
  var scheme: [WeightFormat] = [.q4, .q8, .f16]

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Instruction sets; by default the best of this machine.", valueName: "isa"))
  var isa: [InstructionSet] = []

  @Option(help: "Numbers of threads, as in 1,2; by default 1 and one per core.")
  var threads: NumberList = NumberList(
    [1, WorkerPool.defaultThreadCount].uniqued())

  @Option(help: "Numbers of tokens: 1 is decoding.")
  var tokens = NumberList([1, 512])

  @Option(help: "Memory that the copies of a matrix take together, and the bandwidth's probe.")
  var memory = ByteSize(bytes: 1 << 30)

  @Option(help: "Repetitions that count.")
  var repetitions = 9

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...1000).contains(repetitions) else {
      throw ValidationError("--repetitions takes a number from 1 to 1000, not \(repetitions).")
    }
    guard (1 << 20...1 << 40).contains(memory.bytes) else {
      throw ValidationError("--memory takes a size from 1M to 1T, not \(memory.bytes) bytes.")
    }
    for count in threads.numbers where count > 256 {
      throw ValidationError("--threads takes numbers from 1 to 256, not \(count).")
    }
    for count in tokens.numbers where count > 65536 {
      throw ValidationError("--tokens takes numbers from 1 to 65536, not \(count).")
    }
  }

  func run() throws {
    let sets = try isa.isEmpty ? [ComputeContext(threads: 1).instructionSet] : isa
    let benchmark = KernelBenchmark(repetitions: repetitions, memory: memory.bytes)
    let packing = WorkerPool(threads: WorkerPool.defaultThreadCount)
    var samples: [KernelSample] = []
    for format in scheme {
      for shape in shape {
        common.note("\(format.rawValue) \(shape)")
        let copies = benchmark.copies(format, shape, pool: packing)
        for set in sets {
          for threads in threads.numbers {
            for tokens in tokens.numbers {
              let measured = KernelCase(
                format: format, shape: shape, instructionSet: set, threads: threads,
                tokens: tokens)
              samples.append(try benchmark.measure(measured, copies))
            }
          }
        }
      }
    }
    let report = KernelReport(repetitions: repetitions, samples: samples)
    if common.json { Console.write(report.json) } else { Console.write(report.text) }
  }
}

extension WeightFormat: ExpressibleByArgument {}
extension InstructionSet: ExpressibleByArgument {}

extension KernelShape: ExpressibleByArgument {
  init?(argument: String) {
    let numbers = argument.split(separator: "x", omittingEmptySubsequences: false)
      .map { Int($0) ?? 0 }
    guard numbers.count == 2, numbers.allSatisfy({ (1...1 << 17).contains($0) }) else {
      return nil
    }
    self.init(rows: numbers[0], columns: numbers[1])
  }
}

/// Positive numbers on the command line, such as `1,2`.
struct NumberList: ExpressibleByArgument {
  let numbers: [Int]

  init(_ numbers: [Int]) { self.numbers = numbers }

  init?(argument: String) {
    let numbers = argument.split(separator: ",", omittingEmptySubsequences: false)
      .map { Int($0) ?? 0 }
    guard numbers.allSatisfy({ $0 > 0 }) else { return nil }
    self.numbers = numbers
  }

  var defaultValueDescription: String {
    numbers.map { String($0) }.joined(separator: ",")
  }
}

extension Array where Element: Equatable {
  /// Each element once, where it first stands.
  func uniqued() -> [Element] {
    reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }
}
