/// Every message of the protocol, by direction.
public enum MessageRegistry {
  /// Requests the host makes.
  public static let hostRequests: [any RequestMessage.Type] = [
    InitializeRequest.self, CheckHealthRequest.self, DrainRequest.self, ShutdownRequest.self,
    IdentifyAccountRequest.self, DescribeAccountRequest.self, ValidatePostRequest.self, RenderPostRequest.self,
    PublishPostRequest.self, ReconcilePostRequest.self, DeletePostRequest.self,
  ]

  /// Requests a plugin makes.
  public static let pluginRequests: [any RequestMessage.Type] = [
    PerformHTTPRequest.self, StatMediaRequest.self, ReadMediaRequest.self, OpenHTTPStreamRequest.self,
    CreditHTTPStreamRequest.self, CloseHTTPStreamRequest.self,
  ]

  /// Notifications the host sends.
  public static let hostNotifications: [any NotificationMessage.Type] = [
    InitializedNotification.self, CancelNotification.self, StreamNotification.self,
  ]

  /// Notifications a plugin sends.
  public static let pluginNotifications: [any NotificationMessage.Type] = [
    LogNotification.self, ProgressNotification.self, CancelNotification.self,
  ]

  /// Methods a platform plugin may list in its manifest.
  public static let platformMethods: Set<String> = [
    IdentifyAccountRequest.method, DescribeAccountRequest.method, ValidatePostRequest.method, RenderPostRequest.method,
    PublishPostRequest.method, ReconcilePostRequest.method, DeletePostRequest.method,
  ]
}
