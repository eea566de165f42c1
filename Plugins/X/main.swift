import PluginKit

PluginMain.run(XPlatform())
