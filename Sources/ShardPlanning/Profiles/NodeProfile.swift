import TensorCore

/// How fast a processor runs our kernels.
public struct ComputeProfile: Sendable, Equatable {
  /// Weight bytes per second of the matrix-vector product, caches cold, all threads.
  public var weightBytesPerSecond: Int
  /// The same for single schemes ("q4", "q8" …), where they differ.
  public var weightBytesPerSecondByScheme: [String: Int]
  /// Multiply-accumulates per second of the matrix-matrix product while a prompt is read.
  public var operationsPerSecond: Int
  /// Fixed cost of one layer in one pass: thread hand-over, norms, small kernels.
  public var layerNanoseconds: Int
  /// Fixed cost of one pass through a node (or of a hand-over to an accelerator and back).
  public var passNanoseconds: Int

  public init(
    weightBytesPerSecond: Int, weightBytesPerSecondByScheme: [String: Int] = [:],
    operationsPerSecond: Int, layerNanoseconds: Int, passNanoseconds: Int
  ) {
    self.weightBytesPerSecond = weightBytesPerSecond
    self.weightBytesPerSecondByScheme = weightBytesPerSecondByScheme
    self.operationsPerSecond = operationsPerSecond
    self.layerNanoseconds = layerNanoseconds
    self.passNanoseconds = passNanoseconds
  }

  /// A laptop with a Core i5 of the 8th to 12th generation and two channels of DDR4: 24 GB/s of
  /// weights in the matrix-vector product (of 42 to 51 GB/s that the memory could give) and
  /// 100 G multiply-accumulates per second in int8 on four cores with AVX2.
  public static let coreI5Laptop = ComputeProfile(
    weightBytesPerSecond: 24_000_000_000, operationsPerSecond: 100_000_000_000,
    layerNanoseconds: 40_000, passNanoseconds: 60_000)

  /// A small laptop GPU with 2 GB: 60 GB/s effective.
  public static let smallLaptopGPU = ComputeProfile(
    weightBytesPerSecond: 60_000_000_000, operationsPerSecond: 500_000_000_000,
    layerNanoseconds: 60_000, passNanoseconds: 300_000)
}

/// One machine: its memory and its speed.
public struct NodeProfile: Sendable, Equatable {
  public var name: String
  /// Memory of the machine, as printed on its box.
  public var ramBytes: Int
  /// What the operating system and other programs keep of it.
  public var reserveBytes: Int
  /// Memory of a graphics card; nothing computes there yet, so it does not count.
  public var vramBytes: Int
  public var compute: ComputeProfile
  public var accelerator: ComputeProfile
  /// What the figures were measured on; they are no part of the cost model.
  public var machine: Machine?

  /// What a probe says of the machine it ran on.
  public struct Machine: Sendable, Equatable {
    public var cores: Int
    /// Compute threads that the speeds were measured with.
    public var threads: Int
    public var instructionSet: String

    public init(cores: Int, threads: Int, instructionSet: String) {
      self.cores = cores
      self.threads = threads
      self.instructionSet = instructionSet
    }
  }

  public init(
    name: String, ramBytes: Int, reserveBytes: Int? = nil, vramBytes: Int = 0,
    compute: ComputeProfile = .coreI5Laptop, accelerator: ComputeProfile = .smallLaptopGPU
  ) {
    self.name = name
    self.ramBytes = ramBytes
    self.reserveBytes = reserveBytes ?? Self.defaultReserve(ramBytes: ramBytes)
    self.vramBytes = vramBytes
    self.compute = compute
    self.accelerator = accelerator
  }

  /// A profile from what a user typed.
  ///
  /// Throws: `PlanFault` for a name or memory that no node can have.
  public init(
    checking name: String, ramBytes: Int, reserveBytes: Int? = nil, vramBytes: Int = 0
  ) throws(PlanFault) {
    self.init(
      name: name, ramBytes: ramBytes, reserveBytes: reserveBytes, vramBytes: vramBytes)
    _ = try Cluster(nodes: [self], allTakePart: true)
  }

  /// What a desktop in use keeps: 2 GiB, or a quarter of a small machine.
  public static func defaultReserve(ramBytes: Int) -> Int { min(2 << 30, ramBytes / 4) }

  /// Bytes that a node's process may take.
  public var capacity: Int { ramBytes - reserveBytes }

  /// What graphics drivers and the desktop keep of a card's memory.
  public static let vramReserveBytes = 256 << 20

  /// Least memory that is believed: a number without its unit is less.
  public static let minimumRAMBytes = 16 << 20
  /// Largest memory that is believed: 64 TiB.
  public static let maximumRAMBytes = 1 << 46
  /// Rates that are believed, per second.
  public static let rateRange = 1_000...1_000_000_000_000_000
  /// Durations that are believed: up to ten minutes.
  public static let nanosecondRange = 0...600_000_000_000
}

/// A way from one node to another.
public struct LinkProfile: Sendable, Equatable {
  /// Time of a small message there and its answer back.
  public var roundTripNanoseconds: Int
  public var bytesPerSecond: Int

  public init(roundTripNanoseconds: Int, bytesPerSecond: Int) {
    self.roundTripNanoseconds = roundTripNanoseconds
    self.bytesPerSecond = bytesPerSecond
  }

  /// Gigabit Ethernet between laptops through one switch: 300 µs there and back as a program
  /// sees it, 110 MB/s.
  public static let gigabitEthernet = LinkProfile(
    roundTripNanoseconds: 300_000, bytesPerSecond: 110_000_000)

  /// Nanoseconds for a message of so many bytes, one way.
  public func nanoseconds(bytes: Int) -> Int {
    roundTripNanoseconds / 2 + Nanoseconds.of(bytes, perSecond: bytesPerSecond)
  }
}

/// Whole nanoseconds, saturating far beyond anything a plan could mean.
enum Nanoseconds {
  /// Times are added up in floating point as whole numbers, which is exact below 2^53.
  static let limit = 1 << 48

  /// Time for an amount at a rate, rounded up.
  static func of(_ amount: Int, perSecond rate: Int) -> Int {
    precondition(amount >= 0 && rate > 0, "an amount or rate below zero")
    let product = UInt(amount).multipliedFullWidth(by: 1_000_000_000)
    guard product.high < UInt(rate) else { return limit }
    let (quotient, remainder) = UInt(rate).dividingFullWidth(product)
    return Int(min(quotient, UInt(limit - 1))) + (remainder > 0 ? 1 : 0)
  }
}
