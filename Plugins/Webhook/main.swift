import PluginKit

PluginMain.run(WebhookPlatform())
