-- One language client, `zmqkernel lsp`: commands go there, outputs come back as notifications.
local outputs = require("zmqkernel.outputs")
local M = {}

local asked = {} -- request -> true, while an input() waits

local handlers = {
  ["zmqkernel/output"] = function(_, execution)
    outputs.show(execution)
  end,
  ["zmqkernel/unmatched"] = function(_, result)
    outputs.unmatched(result)
  end,
  ["zmqkernel/inputRequested"] = function(_, input, ctx)
    asked[input.request] = true
    vim.schedule(function()
      vim.cmd.redraw() -- what the cell has said so far; asking may stop all drawing
      M.ask(input, ctx.client_id)
    end)
  end,
  ["zmqkernel/inputClosed"] = function(_, input)
    asked[input.request] = nil
  end,
  ["zmqkernel/kernelRestarted"] = function(_, kernel)
    local level = kernel.expected and vim.log.levels.INFO or vim.log.levels.WARN
    vim.notify(("zmqkernel: %s; all variables are gone"):format(kernel.reason), level)
  end,
}

-- Lenses and code actions name commands of the bridge: the client runs them by itself.
local commands = {}
local runs = { "Cell", "CellAndAdvance", "Selection", "Line", "Expression", "Above", "ToHere", "Below", "All" }
for _, name in ipairs(vim.list_extend(vim.tbl_map(function(run) return "run" .. run end, runs), { "interrupt", "queue" })) do
  local id = "zmqkernel.server." .. name
  commands[id] = function(chosen, ctx)
    local client = vim.lsp.get_client_by_id(ctx.client_id)
    if client then
      client.request("workspace/executeCommand", { command = id, arguments = chosen.arguments }, function(err)
        if err then
          vim.notify("zmqkernel: " .. err.message, vim.log.levels.ERROR)
        end
      end, ctx.bufnr)
    end
  end
end

-- Other servers for the buffer know what can be known without a session, and the bridge leaves that to them.
local function siblings(buf)
  local names = {}
  for _, client in ipairs(vim.lsp.get_clients({ bufnr = buf, _uninitialized = true })) do
    if client.name ~= "zmqkernel" then
      table.insert(names, client.name)
    end
  end
  return names
end

function M.attach(buf)
  local name = vim.api.nvim_buf_get_name(buf)
  if name == "" or vim.bo[buf].buftype ~= "" then
    return
  end
  vim.lsp.start({
    name = "zmqkernel",
    cmd = vim.g.zmqkernel_cmd or { "zmqkernel", "lsp" },
    root_dir = vim.fs.root(buf, { "pyproject.toml", ".git" }) or vim.fs.dirname(name),
    init_options = { zmqkernel = {
      protocol = 1,
      siblings = vim.g.zmqkernel_siblings or siblings(buf),
      -- What the outputs under the code say already is not said a second time.
      features = vim.tbl_extend("force", { hints = false, progress = false }, vim.g.zmqkernel_features or {}),
    } },
    handlers = handlers,
    commands = commands,
  }, { bufnr = buf })
end

function M.ask(input, client_id)
  if not asked[input.request] then
    return -- somebody else has answered
  end
  local function answer(value)
    local client = vim.lsp.get_client_by_id(client_id)
    if value == nil or not client or not asked[input.request] then
      return
    end
    client.request("zmqkernel/answerInput", { request = input.request, value = value }, function(err)
      if err then
        vim.notify("zmqkernel: " .. err.message, vim.log.levels.ERROR)
      end
    end)
  end
  if input.password then
    answer(vim.fn.inputsecret(input.prompt))
  else
    vim.ui.input({ prompt = input.prompt }, answer)
  end
end

local function command(name, argument, done)
  local client = vim.lsp.get_clients({ bufnr = 0, name = "zmqkernel" })[1]
  if not client then
    vim.notify("zmqkernel: no bridge is attached to this buffer", vim.log.levels.ERROR)
    return
  end
  local params = { command = "zmqkernel.server." .. name, arguments = { argument } }
  client.request("workspace/executeCommand", params, function(err, result)
    if err then
      vim.notify("zmqkernel: " .. err.message, vim.log.levels.ERROR)
    elseif done then
      done(result)
    end
    -- Not 0: then Neovim would send the request before the edits that it still holds back, and old code would run.
  end, vim.api.nvim_get_current_buf())
end

local function here()
  local line = vim.api.nvim_win_get_cursor(0)[1] - 1
  return { uri = vim.uri_from_bufnr(0), position = { line = line, character = 0 } }
end

function M.run_cell()
  command("runCell", here(), function(result)
    if type(result.execution) ~= "string" then
      vim.notify("zmqkernel: there is no code in this cell", vim.log.levels.INFO)
    end
  end)
end

-- The cursor goes to the next cell with code at once, if there is one, whatever the session does.
function M.run_cell_and_advance()
  local window, argument = vim.api.nvim_get_current_win(), here()
  command("runCell", argument)
  command("nextCell", argument, function(result)
    local line = argument.position.line
    local unmoved = vim.api.nvim_get_current_win() == window and vim.api.nvim_win_get_cursor(window)[1] - 1 == line
    if type(result.position) == "table" and unmoved then
      vim.api.nvim_win_set_cursor(window, { result.position.line + 1, 0 })
    end
  end)
end

function M.open_image()
  local paths = outputs.images(vim.api.nvim_get_current_buf(), vim.api.nvim_win_get_cursor(0)[1] - 1)
  if #paths == 0 then
    vim.notify("zmqkernel: there is no image here or below", vim.log.levels.INFO)
  end
  for _, path in ipairs(paths) do
    vim.ui.open(path)
  end
end

-- :ZmqRun above|here|below|all|line|expression
local others = { above = "runAbove", here = "runToHere", below = "runBelow", all = "runAll" }
others.line, others.expression = "runLine", "runExpression"

function M.run(what)
  local argument = here()
  local column = vim.api.nvim_win_get_cursor(0)[2]
  local client = vim.lsp.get_clients({ bufnr = 0, name = "zmqkernel" })[1]
  local text = vim.api.nvim_get_current_line()
  if client and client.offset_encoding == "utf-16" then
    _, column = vim.str_utfindex(text, column)
  end
  argument.position.character = column
  command(others[what.args], argument)
end

function M.complete_run(lead)
  return vim.tbl_filter(function(name) return vim.startswith(name, lead) end, vim.fn.sort(vim.tbl_keys(others)))
end

-- Whole lines, as every Ex command with a range has them.
function M.run_lines(range)
  local from = { line = range.line1 - 1, character = 0 }
  local to = { line = range.line2, character = 0 }
  command("runSelection", { uri = vim.uri_from_bufnr(0), range = { start = from, ["end"] = to } })
end

function M.interrupt()
  command("interrupt", { uri = vim.uri_from_bufnr(0) })
end

return M
