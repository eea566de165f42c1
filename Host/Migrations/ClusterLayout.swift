internal import Cryptography
internal import Glibc
internal import Processes

/// Where the files of a home's private database lie, and whom they belong to.
struct ClusterLayout: Sendable {
  /// The longest socket folder: the kernel takes 107 bytes with the socket's own name.
  private static let maximumSocketDirectory = 85
  private static let sharedFolder = "/var/lib/rostrum"

  /// The folder of the database, which only its user can enter.
  let root: String
  /// Whom the server runs as when that is not the user of this process.
  let user: SpawnRequest.User?
  let socketDirectory: String

  var data: String { root + "/data" }

  /// Decides the places for a home; the same home gives the same places while its record stays.
  init(home: String) throws(ClusterError) {
    guard geteuid() == 0 else {
      user = nil
      root = home + "/postgres"
      socketDirectory = ClusterLayout.socketDirectory(root: root, home: home)
      return
    }
    // PostgreSQL refuses to run as root.
    let user = try ClusterLayout.unprivilegedUser()
    self.user = user
    if let recorded = Folder.read(ClusterLayout.record(home)) {
      root = String(recorded.prefix { $0 != "\n" })
    } else if Folder.exists(home + "/postgres/data") || Folder.isReachable(home, for: user) {
      root = home + "/postgres"
    } else {
      root = ClusterLayout.sharedFolder + "/" + ClusterLayout.hash(home)
    }
    socketDirectory = ClusterLayout.socketDirectory(root: root, home: home)
  }

  /// Makes the folders, and records a place outside the home.
  func prepare(home: String) throws(ClusterError) {
    if !root.hasPrefix(home + "/") {
      try Folder.write(root + "\n", to: ClusterLayout.record(home), owner: nil)
      let parent = root.split(separator: "/").dropLast().joined(separator: "/")
      try Folder.make("/" + parent, mode: 0o755)
    }
    try Folder.makePrivate(root, owner: user)
    try Folder.makePrivate(socketDirectory, owner: user)
  }

  /// The file in the home that names a place outside it.
  private static func record(_ home: String) -> String { home + "/postgres.place" }

  private static func socketDirectory(root: String, home: String) -> String {
    let inside = root + "/run"
    return inside.utf8.count <= maximumSocketDirectory ? inside : "/tmp/rostrum-" + hash(home)
  }

  private static func hash(_ home: String) -> String {
    String(Hex.encode(SHA256.digest(home)).prefix(16))
  }

  private static func unprivilegedUser() throws(ClusterError) -> SpawnRequest.User {
    for name in ["postgres", "nobody"] {
      if let entry = unsafe getpwnam(name) {
        return unsafe SpawnRequest.User(uid: entry.pointee.pw_uid, gid: entry.pointee.pw_gid)
      }
    }
    throw ClusterError(.folder, "There is no user postgres or nobody to run the database as; PostgreSQL refuses root")
  }
}
