"""The command `atomik`: a module for each subcommand, and a few that they share. Only this imports click."""
