-- Images of outputs as files that a viewer can open.
local M = {}

local KEEP = 7 * 24 * 3600 -- seconds; written again when an output that holds them is drawn
local ENDINGS = { ["image/png"] = "png", ["image/jpeg"] = "jpg", ["image/gif"] = "gif", ["image/svg+xml"] = "svg" }
local folder

local function prepare()
  folder = vim.fs.joinpath(vim.fn.stdpath("cache"), "zmqkernel")
  vim.fn.mkdir(folder, "p")
  for name in vim.fs.dir(folder) do
    local path = vim.fs.joinpath(folder, name)
    if vim.fn.getftime(path) < os.time() - KEEP then
      vim.fn.delete(path)
    end
  end
end

-- The file with this image, written if it is not there; nil for what is no image or cannot be written.
function M.path(mime, data)
  local ending = ENDINGS[mime]
  if not ending or type(data) ~= "string" then
    return nil
  end
  if not folder then
    prepare()
  end
  local path = vim.fs.joinpath(folder, vim.fn.sha256(data):sub(1, 12) .. "." .. ending)
  if vim.fn.filereadable(path) == 0 then
    local ok, bytes = true, data
    if ending ~= "svg" then
      ok, bytes = pcall(vim.base64.decode, (data:gsub("%s", "")))
    end
    local file = ok and io.open(path, "wb")
    if not file then
      return nil
    end
    file:write(bytes)
    file:close()
  end
  return path
end

return M
