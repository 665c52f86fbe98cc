/// What one node of a running pipeline says of itself.
public struct NodeStatistics: Sendable, Equatable {
  public var node: String
  public var layers: Range<Int>
  public var holdsEmbedding: Bool
  public var holdsHead: Bool
  /// Passes so far, whatever their number of rows.
  public var steps: Int
  /// Rows of all passes.
  public var tokens: Int
  /// Median computing time of the passes with one row (decode); nil before the first.
  public var secondsPerDecodeStep: Double?
  /// Computing time of the passes with several rows (prefill), per row; nil before the first.
  public var secondsPerPrefillToken: Double?
  /// Most memory that the process has had resident.
  public var peakResidentBytes: Int
  /// Most bytes that it may take, counted with the threads it runs; nil where nobody counted.
  public var ledgerBytes: Int?
}
