// An adapter imports PluginKit alone: JSON text and wire types come with it.
@_exported public import JSONText
@_exported public import PluginProtocol
